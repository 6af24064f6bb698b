// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// The inbox's own limits, far above what credit allows to be on its way: they
// bound a defect, not the traffic.
const (
	pendingMsgs  = 1 << 20
	pendingBytes = 256 << 20
)

// NATS is a [Conn] over a *nats.Conn, which stays its owner's.
type NATS struct {
	nc  *nats.Conn
	out sender // nil if the connection's dialer is none

	turn sync.Mutex // of those whose messages are long

	// While nats.go dials a broker that says nothing its methods wait, and these are
	// what they said before.
	down       atomic.Bool      // until up says something else, as its owner may change the handlers
	up         chan nats.Status // has something when it was connected again
	generation atomic.Uint64
	maxPayload atomic.Int64

	mu        sync.Mutex // guards the fields below
	listeners map[int]func(Event)
	next      int
}

// A sender is a connection's dialer that knows how much has not left for the broker.
// It returns a channel that is closed when all has; nil if no more than some bytes
// have not.
type sender interface {
	Blocked(some int) <-chan struct{}
}

// mayWait is how many bytes may wait for the broker before a message of size bytes.
// Heartbeats, credit and announcements are short: who publishes them has others to
// look after. Of what has gathered until there was a batch of it there may be some.
// What is longer has its sender to wait outside.
func mayWait(size int) int {
	switch {
	case size <= 4<<10:
		return 16 << 20
	case size <= long:
		return 4 << 20
	}
	return 0
}

const long = 24 << 10

// conns has one Conn for each connection, so that the callbacks of a NATS are
// chained once, however many clients and servers use it.
var conns = struct {
	sync.Mutex
	m map[*nats.Conn]Conn
}{m: map[*nats.Conn]Conn{}}

// Over returns the Conn over nc, which is one and the same for all who ask.
func Over(nc *nats.Conn) Conn {
	conns.Lock()
	defer conns.Unlock()
	if c := conns.m[nc]; c != nil {
		return c
	}
	c := &NATS{nc: nc, listeners: map[int]func(Event){}}
	c.up = nc.StatusChanged(nats.CONNECTED)
	c.out, _ = nc.Opts.CustomDialer.(sender)
	if !nc.IsClosed() {
		conns.m[nc] = c
	}
	c.learn()
	c.chain()
	return c
}

// StandIn returns a connection in whose place c is used by all who ask [Over],
// until release is called. It is for simulations: it was never dialled, and
// nothing else can be done with it.
func StandIn(c Conn) (nc *nats.Conn, release func()) {
	nc = &nats.Conn{}
	conns.Lock()
	defer conns.Unlock()
	conns.m[nc] = c
	return nc, func() {
		conns.Lock()
		defer conns.Unlock()
		delete(conns.m, nc)
	}
}

// chain puts our callbacks before those that are there.
func (c *NATS) chain() {
	disconnected, reconnected := c.nc.DisconnectErrHandler(), c.nc.ReconnectHandler()
	closed, failed := c.nc.ClosedHandler(), c.nc.ErrorHandler()
	c.nc.SetDisconnectErrHandler(func(nc *nats.Conn, err error) {
		c.down.Store(true)
		c.tell(Event{Kind: Disconnected, Err: err})
		if disconnected != nil {
			disconnected(nc, err)
		}
	})
	c.nc.SetReconnectHandler(func(nc *nats.Conn) {
		c.learn()
		c.down.Store(false)
		c.forgetUps()
		c.tell(Event{Kind: Reconnected})
		if reconnected != nil {
			reconnected(nc)
		}
	})
	c.nc.SetClosedHandler(func(nc *nats.Conn) {
		conns.Lock()
		delete(conns.m, nc)
		conns.Unlock()
		c.tell(Event{Kind: Closed, Err: nc.LastError()})
		if closed != nil {
			closed(nc)
		}
	})
	c.nc.SetErrorHandler(func(nc *nats.Conn, s *nats.Subscription, err error) {
		c.asyncError(s, err)
		if failed != nil {
			failed(nc, s, err)
		}
	})
}

// isDown reports whether the connection is known to be lost.
func (c *NATS) isDown() bool {
	if !c.down.Load() {
		return false
	}
	select {
	case <-c.up:
		c.down.Store(!c.nc.IsConnected())
	default:
	}
	return c.down.Load()
}

// forgetUps forgets how often the connection was made: it is known to be there.
func (c *NATS) forgetUps() {
	for {
		select {
		case _, more := <-c.up:
			if !more {
				return
			}
		default:
			return
		}
	}
}

// learn asks nats.go what may be asked for while it dials.
func (c *NATS) learn() {
	c.generation.Store(c.nc.Stats().Reconnects)
	c.maxPayload.Store(c.nc.MaxPayload())
}

var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "([^"]+)"`)

func (c *NATS) asyncError(s *nats.Subscription, err error) {
	if m := violation.FindStringSubmatch(err.Error()); m != nil {
		c.tell(Event{Kind: Denied, Subject: m[2], Err: err})
		return
	}
	if errors.Is(err, nats.ErrSlowConsumer) && s != nil {
		c.tell(Event{Kind: Dropped, Subject: s.Subject, Err: err})
	}
}

func (c *NATS) tell(ev Event) {
	c.mu.Lock()
	fs := make([]func(Event), 0, len(c.listeners))
	for _, f := range c.listeners {
		fs = append(fs, f)
	}
	c.mu.Unlock()
	for _, f := range fs {
		f(ev)
	}
}

// Notify implements [Conn]. The events come one at a time.
func (c *NATS) Notify(f func(Event)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next
	c.next++
	c.listeners[id] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.listeners, id)
	}
}

// Blocked implements [Conn].
func (c *NATS) Blocked(size int) <-chan struct{} {
	if c.out == nil {
		return nil
	}
	return c.out.Blocked(mayWait(size))
}

// publish has those publish one after the other whose messages are long: or all who
// have seen that the connection is not blocked would, before it is.
func (c *NATS) publish(size int, send func() error) error {
	if size > long && c.out != nil {
		c.turn.Lock()
		defer c.turn.Unlock()
		if c.Blocked(size) != nil {
			return ErrBlocked
		}
	}
	if !c.Connected() {
		return ErrNotConnected
	}
	return published(send())
}

// Publish implements [Conn].
func (c *NATS) Publish(subject, reply string, data []byte) error {
	return c.publish(len(data), func() error {
		if reply == "" { // PublishRequest refuses an empty reply
			return c.nc.Publish(subject, data)
		}
		return c.nc.PublishRequest(subject, reply, data)
	})
}

// PublishMsg implements [Conn].
func (c *NATS) PublishMsg(m Msg) error {
	return c.publish(len(m.Data), func() error {
		return c.nc.PublishMsg(&nats.Msg{Subject: m.Subject, Reply: m.Reply, Header: m.Header, Data: m.Data})
	})
}

// published names the errors that mean no connection: with the reconnect buffer
// off nats.go refuses to keep what it cannot send; and one that is over before
// nats.go knows does not write.
func published(err error) error {
	_, network := errors.AsType[net.Error](err)
	switch {
	case network, errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected):
		return ErrNotConnected
	}
	return err
}

// Subscribe implements [Conn].
func (c *NATS) Subscribe(subject, queue string, f func(Msg)) (Subscription, error) {
	s, err := c.nc.QueueSubscribe(subject, queue, func(m *nats.Msg) {
		f(Msg{
			Subject: m.Subject, Reply: m.Reply, Header: m.Header, Data: m.Data,
			NoResponders: len(m.Data) == 0 && m.Header != nil && m.Header.Get("Status") == "503",
		})
	})
	if err != nil {
		return nil, err
	}
	if err := s.SetPendingLimits(pendingMsgs, pendingBytes); err != nil {
		return nil, errors.Join(err, s.Unsubscribe())
	}
	return natsSub{s}, nil
}

// NewInbox implements [Conn]. It lies outside the wildcard that the connection's
// own requests use, or each reply would be delivered twice.
//
// nats.NewInbox counts: who knows one inbox could guess another of the process.
func (c *NATS) NewInbox() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return cmp.Or(c.nc.Opts.InboxPrefix, "_INBOX") + "." + hex.EncodeToString(id[:])
}

// Flush implements [Conn].
func (c *NATS) Flush(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok { // nats.go wants one
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
	}
	return c.nc.FlushWithContext(ctx)
}

// MaxPayload implements [Conn].
func (c *NATS) MaxPayload() int {
	if c.isDown() {
		return int(c.maxPayload.Load())
	}
	n := c.nc.MaxPayload()
	if n != c.maxPayload.Load() {
		c.maxPayload.Store(n)
	}
	return int(n)
}

// Connected implements [Conn].
func (c *NATS) Connected() bool { return !c.isDown() && c.nc.IsConnected() }

// Generation implements [Conn].
func (c *NATS) Generation() uint64 {
	if !c.isDown() {
		c.generation.Store(c.nc.Stats().Reconnects)
	}
	return c.generation.Load()
}

// LastRefusal implements [Conn].
func (c *NATS) LastRefusal() (subject string, _ error) {
	err := c.nc.LastError()
	if err == nil {
		return "", nil
	}
	m := violation.FindStringSubmatch(err.Error())
	if m == nil {
		return "", nil
	}
	return m[2], err
}

type natsSub struct{ *nats.Subscription }

// Drain waits for what nats.go reports in the background.
func (s natsSub) Drain(ctx context.Context) error {
	closed := s.StatusChanged(nats.SubscriptionClosed)
	if err := s.Subscription.Drain(); err != nil {
		return err
	}
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
