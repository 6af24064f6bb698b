// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// A Net is a bus inside one process, for tests: it keeps the promises of NATS
// and no more, and it can be broken. It uses no timers, so that it works under
// testing/synctest. Its goroutines are its subscriptions'; they end with them.
type Net struct {
	mu    sync.Mutex // guards the fields below and those of its connections
	rand  *rand.Rand
	conns []*SimConn
	inbox int
	tap   func(from *SimConn, m Msg) []Msg
}

// NewNet returns a bus whose choices among queue subscribers follow seed.
func NewNet(seed uint64) *Net { return &Net{rand: rand.New(rand.NewPCG(seed, 0))} }

// Tap has f see each message that is published, before it is delivered, and say
// what is delivered in its place: the message itself, none, or others that were
// kept back. f must not use the bus.
func (n *Net) Tap(f func(from *SimConn, m Msg) []Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Dial returns a new connection.
func (n *Net) Dial() *SimConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &SimConn{net: n, up: true, listeners: map[int]func(Event){}}
	n.conns = append(n.conns, c)
	return c
}

// A SimConn is a connection to a [Net].
type SimConn struct {
	net       *Net
	up        bool
	closed    bool   // for good
	times     uint64 // that it came up again
	frozen    bool   // half open: neither side's messages pass, nobody is told
	subs      []*simSub
	listeners map[int]func(Event)
	next      int
}

type simSub struct {
	c              *SimConn
	subject, queue string
	wild           bool // subject has a wildcard
	f              func(Msg)

	mu     sync.Mutex // guards the fields below
	queued []Msg
	wake   chan struct{}
	ending bool // no more is queued; the goroutine ends when the queue is empty
	ended  chan struct{}
}

// Disconnect cuts the connection: what is published fails, what is sent to it is
// lost, and its listeners are told.
func (c *SimConn) Disconnect() { c.set(false) }

// Reconnect undoes Disconnect. The subscriptions are there again.
func (c *SimConn) Reconnect() { c.set(true) }

// Close is Disconnect for good.
func (c *SimConn) Close() {
	c.set(false)
	c.net.mu.Lock()
	c.closed = true
	c.net.mu.Unlock()
	c.tell(Event{Kind: Closed, Err: ErrNotConnected})
}

func (c *SimConn) set(up bool) {
	c.net.mu.Lock()
	up = up && !c.closed
	changed := c.up != up
	c.up = up
	if changed && up {
		c.times++
	}
	c.net.mu.Unlock()
	switch {
	case changed && up:
		c.tell(Event{Kind: Reconnected})
	case changed:
		c.tell(Event{Kind: Disconnected, Err: ErrNotConnected})
	}
}

// Deny tells the listeners that the broker did not take a message for a subject.
func (c *SimConn) Deny(subject string) {
	c.tell(Event{Kind: Denied, Subject: subject, Err: errors.New("permissions violation")})
}

func (c *SimConn) tell(ev Event) {
	c.net.mu.Lock()
	fs := make([]func(Event), 0, len(c.listeners))
	for i := range c.next {
		if f := c.listeners[i]; f != nil {
			fs = append(fs, f)
		}
	}
	c.net.mu.Unlock()
	for _, f := range fs {
		f(ev)
	}
}

// Freeze makes the connection half open, as behind a network that drops
// everything; Freeze(false) undoes it.
func (c *SimConn) Freeze(frozen bool) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.frozen = frozen
}

// Subscriptions counts those that are open.
func (c *SimConn) Subscriptions() int {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return len(c.subs)
}

// Blocked implements [Conn]. What is published leaves at once.
func (c *SimConn) Blocked(int) <-chan struct{} { return nil }

// Publish implements [Conn].
func (c *SimConn) Publish(subject, reply string, data []byte) error {
	return c.PublishMsg(Msg{Subject: subject, Reply: reply, Data: data})
}

// PublishMsg implements [Conn].
func (c *SimConn) PublishMsg(m Msg) error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if !c.up {
		return ErrNotConnected
	}
	m.Data = slices.Clone(m.Data)
	if c.frozen {
		return nil
	}
	msgs := []Msg{m}
	if n.tap != nil {
		msgs = n.tap(c, m)
	}
	for _, m := range msgs {
		if !n.route(m) && m.Reply != "" {
			c.unheard(m)
		}
	}
	return nil
}

// unheard tells that nobody received m: on a plain subscription of the
// publisher's own.
func (c *SimConn) unheard(m Msg) {
	for _, s := range c.subs {
		if s.queue == "" && s.takes(m.Reply) {
			s.push(Msg{Subject: m.Reply, NoResponders: true})
			return
		}
	}
}

// route delivers m and reports whether anybody was there.
func (n *Net) route(m Msg) (delivered bool) {
	queues := map[string][]*simSub{}
	var names []string
	for _, c := range n.conns {
		for _, s := range c.subs {
			switch {
			case !c.up || !s.takes(m.Subject):
			case s.queue == "":
				delivered = true
				s.offer(m)
			default:
				if queues[s.queue] == nil {
					names = append(names, s.queue)
				}
				queues[s.queue] = append(queues[s.queue], s)
			}
		}
	}
	for _, q := range names {
		delivered = true
		members := queues[q]
		members[n.rand.IntN(len(members))].offer(m)
	}
	return delivered
}

// offer is push but for a frozen connection, whose messages are lost on the way.
func (s *simSub) offer(m Msg) {
	if !s.c.frozen {
		s.push(m)
	}
}

func (s *simSub) takes(subject string) bool {
	return s.subject == subject || s.wild && matches(s.subject, subject)
}

func (s *simSub) push(m Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return
	}
	s.queued = append(s.queued, m)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *simSub) run() {
	defer close(s.ended)
	for {
		s.mu.Lock()
		msgs, ending := s.queued, s.ending
		s.queued = nil
		s.mu.Unlock()
		for _, m := range msgs {
			s.f(m)
		}
		if len(msgs) > 0 {
			continue
		}
		if ending {
			return
		}
		<-s.wake
	}
}

// Subscribe implements [Conn].
func (c *SimConn) Subscribe(subject, queue string, f func(Msg)) (Subscription, error) {
	s := &simSub{c: c, subject: subject, queue: queue, wild: strings.ContainsAny(subject, "*>"), f: f, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	c.net.mu.Lock()
	if c.closed {
		c.net.mu.Unlock()
		return nil, ErrNotConnected
	}
	c.subs = append(c.subs, s)
	c.net.mu.Unlock()
	go s.run()
	return s, nil
}

func (s *simSub) end(discard bool) {
	s.c.net.mu.Lock()
	s.c.subs = slices.DeleteFunc(s.c.subs, func(o *simSub) bool { return o == s })
	s.c.net.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	if discard {
		s.queued = nil
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Unsubscribe implements [Subscription].
func (s *simSub) Unsubscribe() error { s.end(true); return nil }

// Drain implements [Subscription].
func (s *simSub) Drain(ctx context.Context) error {
	s.end(false)
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// NewInbox implements [Conn].
func (c *SimConn) NewInbox() string {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.net.inbox++
	return fmt.Sprintf("_INBOX.%d", c.net.inbox)
}

// Flush implements [Conn].
func (c *SimConn) Flush(context.Context) error {
	if !c.Connected() {
		return ErrNotConnected
	}
	return nil
}

// MaxPayload implements [Conn].
func (c *SimConn) MaxPayload() int { return 1 << 20 }

// Connected implements [Conn].
func (c *SimConn) Connected() bool {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.up
}

// Generation implements [Conn].
func (c *SimConn) Generation() uint64 {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.times
}

// Notify implements [Conn].
func (c *SimConn) Notify(f func(Event)) (stop func()) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	id := c.next
	c.next++
	c.listeners[id] = f
	return func() {
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		delete(c.listeners, id)
	}
}

// LastRefusal implements [Conn]. A Net refuses nothing.
func (c *SimConn) LastRefusal() (string, error) { return "", nil }

// matches reports whether a subject falls under a pattern with NATS wildcards.
func matches(pattern, subject string) bool {
	for {
		p, prest, pmore := strings.Cut(pattern, ".")
		s, srest, smore := strings.Cut(subject, ".")
		switch {
		case p == ">":
			return s != ""
		case p != "*" && p != s:
			return false
		case !pmore && !smore:
			return true
		case pmore != smore:
			return false
		}
		pattern, subject = prest, srest
	}
}
