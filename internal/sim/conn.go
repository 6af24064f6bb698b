// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/internal/transport"
)

// A conn is a process's connection to one of the brokers, as nats.go makes it.
type conn struct {
	net     *network
	name    string
	up      *line // to the broker
	down    *line // from the broker
	told    *line // of the process's own, for events
	release func()
	nc      *nats.Conn
	safe    bool // nothing happens to it

	// The network's lock guards these.
	node      int
	connected bool
	lost      time.Time // when it was connected last
	dead      bool      // the process: it does not notice
	away      bool      // until back
	times     uint64
	subs      []*sub
	listeners []*listener
	broken    chan struct{} // closed when the connection is cut
	ghosts    []*interest   // of connections that are over, of which the broker does not know it
	stopped   *stopped      // nil while the process runs
	stops     uint64
	clock     time.Duration // by which the process's is before the others'
	disturbed time.Time     // until when something happens to it
	tap       func(transport.Msg)
}

type listener struct{ f func(transport.Event) }

// dial connects a process to a broker.
func (n *network) dial(name string, node int, d delays) link {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &conn{
		net: n, name: name, safe: d.safe, node: node, connected: !n.stopped, broken: make(chan struct{}),
		up: n.line(name+" up", d), down: n.line(name+" down", d),
		told: n.line(name+" told", delays{least: 0, most: 50 * time.Microsecond}),
	}
	c.down.to, c.told.to = c, c
	c.disturbed = time.Now()
	c.nc, c.release = transport.StandIn(c)
	n.conns = append(n.conns, c)
	return c
}

// bus implements [link].
func (c *conn) bus() *nats.Conn { return c.nc }

// sever implements [link].
func (c *conn) sever(flushed bool) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.cut(flushed)
	c.away = true
}

// cut ends the connection; the network is locked. What the process has sent may
// still arrive. It does not come back by itself.
func (c *conn) cut(flushed bool) {
	if !c.connected || c.dead {
		return
	}
	c.connected, c.lost = false, time.Now()
	c.disturb(c.lost)
	c.net.trace.note(c.name, "cut", "flushed", flushed)
	c.leaveBroker(flushed)
	c.tell(transport.Event{Kind: transport.Disconnected, Err: transport.ErrNotConnected})
}

// leaveBroker ends what there is with the present broker; the network is locked.
// The broker knows when what the process has sent has arrived, or is lost. Until
// then it takes messages for the subscriptions, which nobody gets.
func (c *conn) leaveBroker(flushed bool) {
	close(c.broken)
	c.down.lose()
	for _, i := range c.net.interests {
		if i.sub.conn == c && i.sub.interest == i {
			i.sub.interest = nil
			c.ghosts = append(c.ghosts, i)
		}
	}
	if flushed && c.stopped == nil { // who is stopped sends nothing more
		c.up.send(0, c.forget)
		return
	}
	c.up.lose()
	c.forget()
}

// forget makes the broker forget the subscriptions of connections that are over.
func (c *conn) forget() {
	for _, i := range c.ghosts {
		c.net.hear(i, false)
	}
	c.ghosts = nil
}

// reconnect connects to a broker again, if there is one.
func (c *conn) reconnect(node int) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.connect(node)
}

// connect is reconnect with the network locked. A stopped process does it when it
// goes on.
func (c *conn) connect(node int) {
	if c.connected || c.away || c.dead || c.net.stopped {
		return
	}
	if c.stopped != nil {
		c.stopped.cut, c.stopped.node = true, node
		return
	}
	c.disturb(time.Now())
	c.net.trace.note(c.name, "reconnected", "to", node)
	c.node, c.connected, c.broken = node, true, make(chan struct{})
	c.up.renew()
	c.down.renew()
	c.times++
	for _, s := range c.subs {
		s.announce()
	}
	c.tell(transport.Event{Kind: transport.Reconnected})
}

// hang holds up what is sent in one direction or both until a moment.
func (c *conn) hang(up, down bool, until time.Time) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.net.trace.note(c.name, "hangs", "up", up, "down", down)
	c.disturb(until)
	if up {
		c.up.hangs = later(c.up.hangs, until)
	}
	if down {
		c.down.hangs = later(c.down.hangs, until)
	}
}

// kill ends the process's part in the network without its knowledge.
func (c *conn) kill() {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.dead {
		return
	}
	c.net.trace.note(c.name, "killed")
	c.dies(false)
}

// vanish is kill, of which its broker knows nothing for a while: as of a machine
// that is cut off.
func (c *conn) vanish(unknown time.Duration) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.dead {
		return
	}
	c.net.trace.note(c.name, "vanished")
	if c.connected {
		c.up.lose()
		c.up.hangs = time.Now().Add(unknown) // its farewell does
	}
	c.dies(c.connected)
}

// leave implements [link].
func (c *conn) leave() {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if !c.dead {
		c.net.trace.note(c.name, "leaves")
		c.dies(true)
	}
}

// dies ends the process; the network is locked.
func (c *conn) dies(flushed bool) {
	c.dead, c.listeners = true, nil
	if s := c.stopped; s != nil {
		c.stopped = nil
		close(s.on)
	}
	switch {
	case c.connected:
		c.leaveBroker(flushed)
	case !flushed: // what it sent before an earlier cut is lost as well
		c.up.lose()
		c.forget()
	}
	c.release()
}

func (c *conn) tell(ev transport.Event) {
	for _, l := range slices.Clone(c.listeners) {
		c.told.send(0, func() { go l.f(ev) })
	}
}

// Blocked implements [transport.Conn], as a socket whose buffer is full.
func (c *conn) Blocked(size int) <-chan struct{} {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if room := c.up.delay.room; room == 0 || c.up.waiting <= room || size <= short || !c.connected {
		return nil
	}
	c.net.blocked++
	if c.up.left == nil {
		c.up.left = make(chan struct{})
	}
	return c.up.left
}

// short messages pass a full buffer, as those of [transport.NATS] do.
const short = 4 << 10

// Publish implements [transport.Conn].
func (c *conn) Publish(subject, reply string, data []byte) error {
	return c.PublishMsg(transport.Msg{Subject: subject, Reply: reply, Data: data})
}

// PublishMsg implements [transport.Conn].
func (c *conn) PublishMsg(m transport.Msg) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	switch {
	case c.dead:
		return nil
	case !c.connected:
		return transport.ErrNotConnected
	}
	m.Data = c.stamped(m)
	c.net.trace.message(c.name, "sent", m.Subject, len(m.Data))
	node, times := c.node, c.times
	c.up.send(len(m.Data), func() { c.net.route(c, node, times, m) })
	return nil
}

// NewInbox implements [transport.Conn].
func (c *conn) NewInbox() string {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.net.inboxes++
	return fmt.Sprintf("_INBOX.%d", c.net.inboxes)
}

// Flush implements [transport.Conn].
func (c *conn) Flush(ctx context.Context) error {
	c.net.mu.Lock()
	if c.dead || !c.connected {
		c.net.mu.Unlock()
		return transport.ErrNotConnected
	}
	done, broken := make(chan struct{}), c.broken
	c.up.send(0, func() { c.down.send(0, func() { close(done) }) })
	c.net.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-broken:
		return transport.ErrNotConnected
	case <-ctx.Done():
		return ctx.Err()
	}
}

// MaxPayload implements [transport.Conn].
func (c *conn) MaxPayload() int { return c.net.payload }

// Connected implements [transport.Conn].
func (c *conn) Connected() bool {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.connected
}

// Generation implements [transport.Conn].
func (c *conn) Generation() uint64 {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.times
}

// Notify implements [transport.Conn].
func (c *conn) Notify(f func(transport.Event)) (stop func()) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	l := &listener{f}
	c.listeners = append(c.listeners, l)
	return func() {
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		c.listeners = slices.DeleteFunc(c.listeners, func(o *listener) bool { return o == l })
	}
}

// LastRefusal implements [transport.Conn]. These brokers refuse nothing.
func (c *conn) LastRefusal() (string, error) { return "", nil }

// isDead reports whether the process was killed.
func (c *conn) isDead() bool {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.dead
}

// calm implements [link].
func (c *conn) calm() time.Time {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if !c.connected || c.stopped != nil {
		return time.Now()
	}
	return c.disturbed
}

// simulated implements [link].
func (c *conn) simulated() *conn {
	if c.net.common {
		return nil
	}
	return c
}
