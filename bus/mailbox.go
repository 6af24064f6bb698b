// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// The windows of a client. docs/protocol.md gives the reasons.
const (
	firstAllow   = 64 << 10  // bytes of first value that need no credit
	streamWindow = 256 << 10 // of a stream at first
	maxWindow    = 8 << 20   // of a stream whose reader keeps up
	peerWindow   = 256 << 10 // on the way from one instance at first
	inboxBudget  = 24 << 20  // on the way from all instances
	valueBudget  = 256 << 20 // windows beyond the first and values in pieces
)

// A mailbox is the client's end of all calls: one subscription, whose callback
// reads the heads of frames, accounts and hands over; one outbox for credit,
// cancellations and heartbeats; and a tick while there is somebody to watch.
//
// Locks are taken in the order mailbox, inCall, peer.
type mailbox struct {
	conn     transport.Conn
	feedConn transport.Conn // of feeds; the same, if there is no other
	id       string         // the client's, on the wire
	inbox    string         // the subjects of replies are this and a number
	out      *outbox
	drops    drops
	troubles troubles
	start    time.Time

	// The inbox's callback's:
	accept wire.Accept // the newest: the next shares its strings
	recent *inCall     // that the message being read has accepted last

	number atomic.Uint64 // last given to a call or to a message with a reply
	wakers sync.Pool     // channels of calls that are over, for others
	most   atomic.Int64  // bytes of a message at most, as the broker said when it was looked at last
	onWay  budget        // windows of peers
	values budget

	anyTurned atomic.Bool // turned is not empty

	mu        sync.Mutex // guards the fields below
	sub       transport.Subscription
	stop      func()        // of the connection's events
	again     chan struct{} // closed when the connection is back; nil while it is there
	gen       uint64        // the connection's generation when it was looked at last
	closed    bool
	shut      bool   // the connection was closed, for good
	denied    *Error // why the inbox cannot receive
	calls     map[uint64]*inCall
	peers     map[string]*peer
	probes    map[uint64]*peer // heartbeats that the broker may say nobody received
	asks      map[uint64]question
	menus     map[string]*knownMenu
	turned    map[string]bool               // subjects of requests whose last responder is leaving
	feeds     map[inFeedKey]*inFeed         // that readers may join
	joins     map[uint64]*inFeed            // by the calls of the memberships
	unshared  map[Description]time.Duration // until when they are opened without feeds
	stopFeeds func()                        // of the events of their connection; nil if that is the same
	tick      bool                          // whether the ticking goroutine runs
	quit      chan struct{}
	ended     chan struct{} // closed when what close waits for has ended
	wg        sync.WaitGroup
}

func newMailbox(conn transport.Conn) *mailbox {
	id := newID()
	return &mailbox{
		conn: conn, feedConn: conn, id: id, out: newOutbox(), start: time.Now(),
		drops: drops{who: "client " + id}, troubles: troubles{who: "client " + id}, onWay: newBudget(inboxBudget), values: newBudget(valueBudget),
		calls: map[uint64]*inCall{}, peers: map[string]*peer{}, probes: map[uint64]*peer{},
		asks: map[uint64]question{}, menus: map[string]*knownMenu{}, turned: map[string]bool{}, quit: make(chan struct{}), ended: make(chan struct{}),
		feeds: map[inFeedKey]*inFeed{}, joins: map[uint64]*inFeed{}, unshared: map[Description]time.Duration{},
		wakers: sync.Pool{New: func() any { return make(chan struct{}, 1) }},
	}
}

func (b *mailbox) now() time.Duration { return time.Since(b.start) }

// room is how large a message may be.
func (b *mailbox) room() int {
	if n := b.most.Load(); n > 0 {
		return maxFrame(int(n))
	}
	return maxFrame(b.conn.MaxPayload()) // which is 0 before there was a broker
}

func (b *mailbox) next() uint64 { return b.number.Add(1) }

func (b *mailbox) reply(n uint64) string {
	var buf [96]byte
	return string(strconv.AppendUint(append(append(buf[:0], b.inbox...), '.'), n, 10))
}

var errClosed = errors.New("the client was closed")

// open subscribes, once. b.mu is held.
func (b *mailbox) open() error {
	switch {
	case b.closed:
		return errClosed
	case b.denied != nil:
		return b.denied
	case b.sub != nil:
		return nil
	}
	b.inbox = b.conn.NewInbox()
	sub, err := b.conn.Subscribe(b.inbox+".*", "", b.receive)
	if err != nil {
		return err
	}
	b.sub, b.gen = sub, b.conn.Generation()
	b.most.Store(int64(b.conn.MaxPayload()))
	b.stop = b.conn.Notify(b.event)
	if b.feedConn != b.conn {
		b.stopFeeds = b.feedConn.Notify(b.feedEvent)
	}
	if !b.conn.Connected() {
		b.again = make(chan struct{})
		b.startTick()
	}
	b.wg.Go(func() { b.out.run(b.quit) })
	return nil
}

// begin registers c, so that what comes back finds it.
func (b *mailbox) begin(c *inCall) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.open(); err != nil {
		return b.unusable(err, c.route.desc)
	}
	b.calls[c.id] = c
	b.startTick()
	return nil
}

func (b *mailbox) unusable(err error, d Description) error {
	e := &Error{Code: Disconnected, RPC: d, Err: err, Message: err.Error()}
	if denied, ok := errors.AsType[*Error](err); ok {
		e.Code, e.Message = denied.Code, denied.Message
	}
	if err == errClosed {
		e.Code = Invalid
	}
	return e
}

// disconnected is the error of having no connection. b.mu is held.
func (b *mailbox) disconnected(d Description, mayHaveRun bool) *Error {
	e := &Error{Code: Disconnected, RPC: d, MayHaveRun: mayHaveRun, Message: "the connection to the broker is down"}
	if b.shut {
		e.Message = "the connection to the broker was closed; make another, and a client on it"
		return e
	}
	if b.again == nil { // the event is on its way
		b.again = make(chan struct{})
	}
	b.startTick()
	e.Again = b.again
	return e
}

// isShut reports whether the connection was closed, for good.
func (b *mailbox) isShut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shut
}

// whenBack returns a channel that is closed when the connection is back, or never
// will be; nil if it is there, or never will be.
func (b *mailbox) whenBack() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn.Connected() {
		return nil
	}
	return b.disconnected(Description{}, false).Again
}

// end forgets c, unless another has its place: one that is to be cancelled.
func (b *mailbox) end(c *inCall, p *peer) {
	b.mu.Lock()
	if b.calls[c.id] == c {
		delete(b.calls, c.id)
	}
	b.mu.Unlock()
	if p != nil {
		p.drop(c)
	}
}

// event is told of the connection's changes.
func (b *mailbox) event(ev transport.Event) {
	switch ev.Kind {
	case transport.Disconnected, transport.Closed:
		b.lostConnection(ev)
	case transport.Reconnected:
		b.reconnected()
	case transport.Denied:
		b.wasDenied(ev)
	case transport.Dropped:
		if ev.Subject == b.inbox+".*" {
			b.drops.add(dropOverflow)
		}
	}
}

// lostConnection fails what was in flight at once; streams that are open are
// suspect until their instance says how far it got.
func (b *mailbox) lostConnection(ev transport.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost(ev)
}

// lost is lostConnection with b.mu held.
func (b *mailbox) lost(ev transport.Event) {
	b.shut = b.shut || ev.Kind == transport.Closed
	for _, c := range b.calls {
		if e := b.disconnected(c.route.desc, true); b.shut {
			c.fail(e)
		} else {
			c.disconnected(e)
		}
	}
	for _, f := range b.joins {
		if e := b.disconnected(f.desc, true); b.shut {
			e.Instance = f.key.instance
			f.fail(e)
		} else {
			f.interrupted(e)
		}
	}
	for _, p := range b.peers {
		p.disconnected(b.number.Load())
	}
	if b.shut && b.again != nil { // who waits for it learns that it is in vain
		close(b.again)
		b.again = nil
	}
}

func (b *mailbox) reconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.back()
}

// back is reconnected with b.mu held.
func (b *mailbox) back() {
	if b.troubles.reconnected(&b.gen, b.conn.Generation()) {
		b.denied = nil // the subscriptions were made anew; or the broker refuses once more
	}
	b.most.Store(int64(b.conn.MaxPayload()))
	if b.again != nil {
		close(b.again)
		b.again = nil
	}
	for _, m := range b.menus {
		m.stale = true
	}
	for _, p := range b.peers {
		p.reconnected(b.now())
	}
	b.rejoin()
}

// startTick watches calls and peers until there are none. b.mu is held.
func (b *mailbox) startTick() {
	if b.tick || b.closed {
		return
	}
	b.tick = true
	b.wg.Go(func() {
		ticks, stop := transport.Ticks(b.conn, flow.Tick)
		defer stop()
		last := b.now()
		for {
			select {
			case <-ticks:
			case <-b.quit:
				return
			}
			now := b.now()
			if !b.ticked(now, now-last > flow.Tick+flow.LateTick) {
				return
			}
			last = now
		}
	})
}

// ticked reports whether there is still something to watch. After a late tick
// the silence was ours.
func (b *mailbox) ticked(now time.Duration, late bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.look()
	for _, c := range b.calls {
		c.ticked(now, late)
	}
	b.tickFeeds(now, late)
	for _, p := range b.peers {
		switch p.ticked(now) {
		case flow.Beat:
			p.beat(false)
		case flow.Dead:
			b.gone(p, "nothing was heard from it for "+flow.DeadAfter.String())
		}
		if p.idleFor(now) > forgetPeer {
			b.remove(p)
		}
	}
	b.tick = len(b.calls)+len(b.peers) > 0 || b.again != nil
	return b.tick
}

// look notices changes of the connection that nobody told of: a first connection
// that came late is no event, and a callback may have been replaced. b.mu is
// held.
func (b *mailbox) look() {
	if !b.conn.Connected() {
		return
	}
	b.most.Store(int64(b.conn.MaxPayload()))
	if gen := b.conn.Generation(); gen != b.gen {
		b.lost(transport.Event{Kind: transport.Disconnected})
		b.back()
	} else if b.again != nil {
		b.back()
	}
}

// gone ends all that p was to answer. b.mu is held.
func (b *mailbox) gone(p *peer, why string) {
	b.remove(p)
	b.troubles.gone(p.instance, len(p.all())+len(p.allFeeds()), why)
	for _, c := range p.all() {
		e := &Error{Code: Gone, RPC: c.route.desc, Instance: p.instance, CallID: callID(b.id, c.id), MayHaveRun: true, Message: why}
		if name, _, ok := wire.ParseRequestSubject(c.route.subject); ok {
			e.Again = b.comes(name, c.route.desc.Version)
		}
		if !b.conn.Connected() {
			e = b.disconnected(c.route.desc, true)
			if c.route.desc.Kind.Streams() { // it may have gone on without us
				e.Code = Lost
			}
		}
		c.fail(e)
		if c.left() {
			delete(b.calls, c.id)
		}
	}
	for _, f := range p.allFeeds() {
		e := &Error{Code: Gone, RPC: f.desc, Instance: p.instance, CallID: callID(b.id, f.call), MayHaveRun: true, Message: why, Again: b.comes(f.name, f.desc.Version)}
		if !b.conn.Connected() {
			e = b.disconnected(f.desc, true)
			e.Code = Lost
		}
		f.fail(e)
	}
	b.left(p.instance)
}

func (b *mailbox) remove(p *peer) {
	delete(b.peers, p.instance)
	delete(b.probes, p.probe)
	p.release()
}

// close ends everything and waits for it.
func (b *mailbox) close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		<-b.ended
		return nil
	}
	defer b.drops.log.written()
	defer b.troubles.log.written()
	defer close(b.ended) // before these, whose handlers may close the client too
	b.closed = true
	sub, stop := b.sub, b.stop
	calls := make([]*inCall, 0, len(b.calls))
	for _, c := range b.calls {
		calls = append(calls, c)
	}
	for _, f := range b.joins {
		f.fail(&Error{Code: Canceled, RPC: f.desc, MayHaveRun: true, Err: context.Canceled, Message: errClosed.Error()})
		b.forgetFeed(f)
	}
	b.mu.Unlock()
	for _, c := range calls {
		c.close(&Error{Code: Canceled, RPC: c.route.desc, MayHaveRun: true, Err: context.Canceled, Message: errClosed.Error()})
	}
	if sub == nil {
		return nil
	}
	stop()
	if b.stopFeeds != nil {
		b.stopFeeds()
	}
	b.flushPeers()
	close(b.quit)
	b.wg.Wait()
	return errors.Join(append(b.deaf(), sub.Unsubscribe())...)
}

// flushPeers sends what is still to be said, the cancellations above all.
func (b *mailbox) flushPeers() {
	b.mu.Lock()
	peers := make([]*peer, 0, len(b.peers))
	for _, p := range b.peers {
		peers = append(peers, p)
	}
	b.mu.Unlock()
	for _, p := range peers {
		p.flush()
	}
}
