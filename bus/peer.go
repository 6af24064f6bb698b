// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/wire"
)

// How long a client remembers an instance after the last call to it. It must be
// longer than the instance remembers the client.
const forgetPeer = 30 * time.Second

// Lists of at most so many calls go into every heartbeat; longer ones into every
// tenth, with what changed in those between.
const (
	shortList = 64
	fullEvery = 10
	beatCalls = 1024 // in one message at most
)

// A peer is one instance as a client knows it: where to write to, how much may
// be on the way from there, whether it lives, and what is to be said to it. What
// is to be said gathers here and leaves in one message.
type peer struct {
	box      *mailbox
	instance string
	queued   atomic.Bool // in the outbox
	heard    atomic.Bool // since the last tick

	mu      sync.Mutex // guards the fields below
	ctl     string     // the newest address
	number  uint64     // of the message that brought it
	session uint64     // the record of us that the instance holds
	calls   map[uint64]*inCall
	feeds   map[uint64]*inFeed // memberships, by their calls
	window  flow.Window
	grown   uint64 // bytes of the budget that the window has
	used    uint64 // of the window, by the last heartbeat
	live    flow.Liveness
	idle    time.Duration // when there was a call last
	probe   uint64        // number of the last heartbeat
	beats   int
	gone    bool
	unsure  bool   // the connection was lost, and how far p's streams got since is not known
	old     uint64 // number of the last message that went over that connection

	credits []*inCall // whose credit is to be told
	joins   []*inFeed // which are to be joined
	cancels []uint64
	resets  []uint64
	tell    bool // the peer credit
	beatDue bool
	full    bool // the heartbeat lists all, and asks for the same
}

// peerOf returns the peer that sent f, with its address; nil if there are too many.
// b.mu is held.
func (b *mailbox) peerOf(f *wire.Accept, reply string, number uint64) *peer {
	p := b.peers[f.Instance]
	if p == nil && len(b.peers) >= maxInstances {
		b.drops.add(dropOverflow, "peer", f.Instance)
		return nil
	}
	if p == nil {
		p = &peer{box: b, instance: f.Instance, calls: map[uint64]*inCall{}, live: flow.NewLiveness(b.now()), idle: b.now()}
		if b.onWay.take(peerWindow) {
			p.grown = peerWindow
		}
		b.peers[f.Instance] = p
		b.startTick()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != f.Session {
		// Another record than the one we know: the account starts where it stands.
		p.session, p.number, p.ctl, p.used = f.Session, 0, "", f.Used
		p.window = flow.NewWindow(max(p.window.Size(), peerWindow), inboxBudget, f.Used)
		p.tell = true
		b.out.add(p)
	}
	p.address(reply, number)
	return p
}

// address takes the newest. p.mu is held.
func (p *peer) address(reply string, number uint64) {
	p.heard.Store(true)
	if reply != "" && number >= p.number {
		p.ctl, p.number = reply, number
	}
}

// writesTo reports whether subject is where p is written to.
func (p *peer) writesTo(subject string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctl == subject
}

// add counts c as one of p's calls. The mailbox and c are locked.
func (p *peer) add(c *inCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[c.id] = c
}

// all returns the calls.
func (p *peer) all() []*inCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := make([]*inCall, 0, len(p.calls))
	for _, c := range p.calls {
		calls = append(calls, c)
	}
	return calls
}

// drop forgets c.
func (p *peer) drop(c *inCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[c.id] == c {
		delete(p.calls, c.id)
		p.idle = p.box.now()
	}
}

// cancel cancels c, which stays one of p's calls until it ends. It reports false
// if p is gone.
func (p *peer) cancel(c *inCall) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false
	}
	p.calls[c.id] = c
	p.cancels = append(p.cancels, c.id)
	p.box.out.add(p)
	return true
}

// cancelOnce cancels a call that is not kept.
func (p *peer) cancelOnce(call uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone && len(p.cancels) < beatCalls {
		p.cancels = append(p.cancels, call)
		p.box.out.add(p)
	}
}

// credit has the credit of c told.
func (p *peer) credit(c *inCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.credits = append(p.credits, c)
	p.box.out.add(p)
}

// took accounts for a frame that came off the inbox.
func (p *peer) took(cost uint64, wants bool) {
	p.heard.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.Take(cost) // beyond the credit: the stream's own account ends it
	if wants {
		p.window.Want()
	}
	due := p.window.Release(cost)
	if p.window.Starved() && !p.gone { // or what is taken would not be given back
		if by := p.window.Growth(); p.box.onWay.take(by) {
			p.grown += by
			p.window.Grow()
			due = true
		}
	}
	if due {
		p.window.Grant()
		p.tell = true
		p.box.out.add(p)
	}
}

// ticked says what the tick calls for.
func (p *peer) ticked(now time.Duration) flow.Pulse {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heard.Swap(false) {
		p.live.Heard(now)
	}
	if len(p.calls)+len(p.feeds) > 0 {
		p.idle = now
	} else if now-p.idle > flow.DeadAfter {
		return flow.Quiet // nothing between us: neither side sends heartbeats
	}
	return p.live.Tick(now)
}

func (p *peer) idleFor(now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now - p.idle
}

func (p *peer) unheard(now time.Duration) flow.Pulse {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live.Unheard(now)
}

// disconnected makes all that p sent to the addresses up to number proof of
// nothing: it may have been waiting here when the connection was lost.
func (p *peer) disconnected(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsure, p.old = true, number
}

// anew reports whether a heartbeat that came to the address token was sent over
// the connection that we have now. p.mu is held.
func (p *peer) anew(token string, full bool) bool {
	n, err := strconv.ParseUint(token, 10, 64)
	anew := err == nil && n > p.old
	if anew && full {
		p.unsure = false
	}
	return anew
}

func (p *peer) reconnected(now time.Duration) {
	p.mu.Lock()
	p.live.Reconnected(now)
	p.mu.Unlock()
	p.beat(true)
}

// beat has a heartbeat sent.
func (p *peer) beat(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beatDue = true
	p.full = p.full || full
	p.box.out.add(p)
}

// release ends the peer and gives back what its window has of the budget.
func (p *peer) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.box.onWay.put(p.grown)
	p.grown, p.gone = 0, true
}

func (p *peer) waiting() *atomic.Bool { return &p.queued }

// heardBeat compares what an instance has published with what is here.
func (b *mailbox) heardBeat(f *wire.Beat, reply string, number uint64, token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[f.From]
	if p == nil {
		// A stranger that still has calls of ours: it must learn where they went.
		if len(f.Calls) == 0 || reply == "" {
			return
		}
		if p = b.peerOf(&wire.Accept{Instance: f.From}, reply, number); p == nil {
			return
		}
	}
	p.mu.Lock()
	p.address(reply, number)
	p.sync(f.Used)
	anew := p.anew(token, f.Full)
	p.mu.Unlock()
	for _, bc := range f.Calls {
		if feed := b.joins[bc.Call]; feed != nil && feed.peer == p {
			feed.reached(bc.Number)
			continue
		}
		c := b.calls[bc.Call]
		if c != nil && c.isAnothers(f.From) {
			b.drops.add(dropStranger, "peer", f.From, "call", bc.Call)
			c = nil
		}
		switch {
		case c == nil:
			p.mu.Lock()
			if len(p.resets) < beatCalls { // else at the next heartbeat
				p.resets = append(p.resets, bc.Call)
			}
			b.out.add(p)
			p.mu.Unlock()
		case c.left():
			p.cancel(c) // again: the first was lost, or is on its way
		default:
			c.published(bc.Number, anew)
		}
	}
}

// sync gives back credit for what was lost on its way. The newest heartbeat may
// count a frame that is being published yet; what the one before it counted has
// arrived by now or never will. p.mu is held.
func (p *peer) sync(used uint64) {
	if p.window.Sync(p.used) {
		p.window.Grant()
		p.tell = true
		p.box.out.add(p)
	}
	p.used = used
}
