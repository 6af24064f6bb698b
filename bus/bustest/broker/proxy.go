// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// A Direction is a way through a [Proxy].
type Direction int

// The directions. Both is for faults; an [Op] has one of the others.
const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

func (d Direction) String() string {
	switch d {
	case ToServer:
		return "to server"
	case ToClient:
		return "to client"
	case Both:
		return "both directions"
	}
	return "direction " + strconv.Itoa(int(d))
}

// A Proxy stands between clients and a broker and makes the network fail. Its
// faults are for all connections through it, those to come included; to harm
// one client alone, give it a Proxy of its own. Faults add up, and each lasts
// until [Proxy.Heal]. A Proxy may be called from several goroutines.
//
// It holds at most 256 KiB, or one message if that is larger, for each direction
// of a connection. The sockets' own buffers come on top: the proxy's are 256 KiB,
// the others as large as the system makes them.
type Proxy struct {
	target   string // host:port
	listener net.Listener

	ctx  context.Context // done when closing
	stop context.CancelFunc
	work sync.WaitGroup // the accept loop and a goroutine for each pair

	tampering sync.Mutex // held over each call of a Tamper

	mu      sync.Mutex
	faults  faults
	changed chan struct{} // closed, and replaced, when faults change
	pairs   map[*pair]struct{}
}

type faults struct {
	partitioned Direction
	frozen      Direction
	delay       time.Duration
	limit       int // bytes a second; 0 is none
	tamper      Tamper
}

// StartProxy starts a proxy on a free port of the loopback interface. The target
// is the URL of a broker, which may be down. The caller closes the proxy.
func StartProxy(target string) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("broker: target %q of a proxy: want a URL such as nats://127.0.0.1:4222", target)
	}
	l, err := listen(0)
	if err != nil {
		return nil, fmt.Errorf("broker: the proxy cannot listen: %w", err)
	}
	p := &Proxy{target: u.Host, listener: l, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	return p, nil
}

// RunProxy is StartProxy for tests: it fails the test if there is an error, and
// closes the proxy when the test is over.
func RunProxy(t TB, target string) *Proxy {
	t.Helper()
	p, err := StartProxy(target)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// URL is where clients connect.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Partition swallows what goes in the direction d, ends of connections included:
// both sides see an open connection and silence. A new connection is accepted,
// and silent too. After Heal, connections that lost something are reset, since a
// TCP connection with a hole in it cannot go on; the others go on.
func (p *Proxy) Partition(d Direction) { p.set(func(f *faults) { f.partitioned |= d }) }

// Freeze stops delivering in the direction d, and soon stops reading too, so
// that the sender's buffers fill and its writes block. Nothing is lost. Frozen
// towards the client alone, the client is a subscriber that does not read, but
// can still publish. What is being written when Freeze is called still arrives.
func (p *Proxy) Freeze(d Direction) { p.set(func(f *faults) { f.frozen |= d }) }

// Thaw ends Freeze, in both directions.
func (p *Proxy) Thaw() { p.set(func(f *faults) { f.frozen = 0 }) }

// Delay delivers everything d after it was read, in each direction, so that a
// round trip takes 2d longer. Order stays. The proxy's buffer limits throughput
// to 256 KiB per d.
func (p *Proxy) Delay(d time.Duration) { p.set(func(f *faults) { f.delay = d }) }

// Limit delivers at most so many bytes a second in each direction of each
// connection, message by message; 0 ends it. Senders come under back-pressure and
// nothing is lost.
func (p *Proxy) Limit(bytes int) { p.set(func(f *faults) { f.limit = bytes }) }

// Tamper lets fn decide what happens to each operation that the proxy reads from
// now on; nil ends it.
func (p *Proxy) Tamper(fn Tamper) { p.set(func(f *faults) { f.tamper = fn }) }

// Cut resets all connections (TCP RST, both sides) and drops what was on its
// way. Clients may connect again at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.reset()
	}
}

// Heal ends all faults and resets the connections that lost something to
// Partition.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if c.lost {
			c.reset() // before anything can follow the hole
		}
	}
	p.change(faults{})
}

// Close resets all connections and frees the port.
func (p *Proxy) Close() {
	p.stop()
	_ = p.listener.Close() // it cannot fail in a way that matters here
	p.Cut()
	p.work.Wait()
}

func (p *Proxy) set(edit func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults
	edit(&f)
	p.change(f)
}

// change puts new faults in place and wakes whoever waits. The caller holds mu.
func (p *Proxy) change(f faults) {
	p.faults = f
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.work.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve carries one connection until it ends or is reset.
func (p *Proxy) serve(client *net.TCPConn) {
	var d net.Dialer
	server, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		reset(client) // as if nobody listened
		return
	}
	c := newPair(p, client, server.(*net.TCPConn))
	if !p.add(c) {
		c.reset()
		return
	}
	c.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
}

// add reports whether c may run: it may not once the proxy closes.
func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.pairs[c] = struct{}{}
	return true
}

// A fate is what the faults of the moment mean for something on its way.
type fate int

const (
	deliver fate = iota
	swallow
	wait
)

// fate decides about something on l. If the answer is wait, it is to be asked again
// at due, if that is not zero, and when changed is closed.
func (p *Proxy) fate(l *lane, it piece) (f fate, due time.Time, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults.frozen&l.direction != 0 {
		return wait, time.Time{}, p.changed
	}
	now := time.Now()
	if due = it.read.Add(p.faults.delay); p.faults.limit > 0 && l.free.After(due) {
		due = l.free
	}
	if now.Before(due) {
		return wait, due, p.changed
	}
	if p.faults.partitioned&l.direction != 0 {
		l.pair.lost = true // here, under the lock, so that Heal cannot miss it
		return swallow, due, nil
	}
	if p.faults.limit > 0 {
		l.free = now.Add(time.Duration(len(it.bytes)) * time.Second / time.Duration(p.faults.limit))
	}
	return deliver, due, nil
}

// verdict asks the Tamper, if there is one, about op.
func (p *Proxy) verdict(op *Op) Verdict {
	p.mu.Lock()
	tamper := p.faults.tamper
	p.mu.Unlock()
	if tamper == nil {
		return Pass
	}
	p.tampering.Lock()
	defer p.tampering.Unlock()
	return tamper(op)
}
