// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/wire"
)

// An inCall is the caller's end of one call. The inbox's callback and the tick
// put things into it; one goroutine of the user's, the reader, takes them out.
type inCall struct {
	box     *mailbox
	route   *route // where it is asked for
	id      uint64
	message atomic.Uint64 // number of the message with the request; 0 before it is sent
	shares  bool          // a message with others of the route
	again   bool          // may be sent again after silence
	resume  bool          // tell of breaks
	wake    chan struct{} // of the reader; nobody sends once done is set; nil of a stream that is not read yet

	mu       sync.Mutex // guards the fields below
	accepted bool
	opened   bool // First has arrived
	done     bool // the reader left
	sent     time.Duration
	peer     *peer     // once it answered with an address
	at       *progress // of the reader; nil without a source
	instance string
	queue    []arrival
	first    *wire.First
	end      *wire.End // nil before it came
	recv     flow.Receiver
	grown    uint64  // bytes of the values' budget that the window has
	doubt    *doubt  // since the connection was lost; nil
	upload   *upload // of a long query; nil
	err      *Error  // why nothing more arrives
}

// A doubt is about what a lost connection had on its way: frames may be missing
// at the end of what has arrived.
type doubt struct {
	held []arrival // what has come since, for after the end of the Break
}

// An upload is of the Chunks of a long query.
type upload struct {
	flow.Allowance
	whole bool // all were sent
}

// newInCall returns a call. What answers a unary call is a part of it; a stream,
// which may idle for long, lets go of how it began.
func newInCall(kind Kind) *inCall {
	if kind == Unary {
		c := new(struct {
			inCall
			first wire.First
		})
		c.inCall.first = &c.first
		return &c.inCall
	}
	return &inCall{first: new(wire.First)}
}

// An arrival is a frame on its way to the reader.
type arrival struct {
	kind    wire.Kind
	payload []byte // elements, or a piece of a value
	total   uint64
	before  uint64 // positions of Data
	last    uint64
	cost    uint64
	err     error // of a Fault or, with no kind, a Break
}

// signal wakes the reader, if it has not left. c.mu is held.
func (c *inCall) signal() {
	if !c.done && c.wake != nil {
		signal(c.wake)
	}
}

// recycle gives the channel of a call whose reader has left to another. Only the
// reader may call it.
func (c *inCall) recycle() {
	select {
	case <-c.wake:
	default:
	}
	c.box.wakers.Put(c.wake)
}

// park does without the channel until the reader comes back, who looks first
// and waits then, and without what was read of the beginning. Only the reader may
// call it.
func (c *inCall) park() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recycle()
	c.wake = nil
	if len(c.queue) == 0 {
		c.queue = nil
	}
	first := &nothing // else it would hold its message
	if md := c.first.Metadata; md != nil {
		first = &wire.First{Metadata: md}
	}
	c.first = first
}

// nothing is what a first frame said that matters once it was read, mostly.
var nothing wire.First

// Errors that send looks for: what became of an attempt, not of the call.
var (
	errUnheard = errors.New("the broker knows no subscriber")
	errSilent  = errors.New("no sign yet")
	errAged    = errors.New("too old when it arrived")
	errLeft    = errors.New("the last responder is leaving")
)

// The times by which a call wants a first sign, looked at every flow.Tick.
const (
	askAgain   = 500 * time.Millisecond
	giveUp     = 2*time.Second - flow.Tick
	giveUpSoon = time.Second - flow.Tick // of a stream whose caller opens others himself; see WithResume
)

// fail ends the call on this side, after what has arrived. The first reason
// stays.
func (c *inCall) fail(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(e)
}

func (c *inCall) failLocked(e *Error) {
	if c.err != nil || c.recv.Ended() {
		return
	}
	e.CallID = callID(c.box.id, c.id)
	c.err = e
	if e.Code == Lost {
		c.trouble(troubleLost, "why", e.Message)
	}
	c.signal()
}

// trouble counts and logs one with the call. c.mu is held, or the reader asks.
func (c *inCall) trouble(what trouble, attrs ...any) {
	c.box.troubles.add(what, c.route.desc, c.instance, append(attrs, "call", callID(c.box.id, c.id))...)
}

// refused fails a call that nobody has accepted.
func (c *inCall) refused(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.accepted {
		c.failLocked(e)
	}
}

// disconnected fails what cannot go on without a connection.
func (c *inCall) disconnected(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.opened || !c.route.desc.Kind.Streams() || c.peer == nil {
		c.failLocked(e)
		return
	}
	if c.doubt != nil {
		return
	}
	if c.resume && c.err == nil && !c.recv.Ended() {
		c.put(arrival{err: &Break{Err: e}})
	}
	c.doubt = new(doubt)
}

// put hands a to the reader. c.mu is held.
func (c *inCall) put(a arrival) {
	if c.doubt != nil && c.resume {
		c.doubt.held = append(c.doubt.held, a)
		return
	}
	c.queue = append(c.queue, a)
	c.signal()
}

// verified ends the doubt about what a lost connection had on its way: nothing
// is missing. c.mu is held.
func (c *inCall) verified() {
	d := c.doubt
	c.doubt = nil
	if d == nil {
		return
	}
	c.trouble(troubleResumed)
	if !c.resume {
		return
	}
	info := c.infoLocked()
	c.put(arrival{err: &Break{Info: &info}})
	c.queue = append(c.queue, d.held...)
}

// ticked looks for calls that got no sign.
func (c *inCall) ticked(now time.Duration, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accepted {
		return
	}
	if late {
		c.sent = now
	}
	age := now - c.sent
	switch {
	case age >= giveUp, c.resume && age >= giveUpSoon:
		c.failLocked(&Error{Code: NoAnswer, RPC: c.route.desc, MayHaveRun: true, Message: noAnswer})
	case age >= askAgain && c.again:
		c.failLocked(&Error{Code: NoAnswer, RPC: c.route.desc, MayHaveRun: true, Err: errSilent, Message: noAnswer})
	}
}

const noAnswer = "no sign of a responder for too long; likely causes: it cannot publish to the caller's inbox, " +
	"its account exports the service for a single short response, it is stopped or cut off, or the answer was lost; the call may have run"

// published compares what the instance has published with what is here. Where
// the connection was lost it proves something only if the instance said so on
// the new one.
func (c *inCall) published(seq uint64, anew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch gap := c.recv.Published(seq) == flow.Gap; {
	case gap && c.recv.Seq() <= 1 && c.doubt == nil:
		// All behind the first message is missing though the connection held.
		c.failLocked(&Error{Code: NoAnswer, RPC: c.route.desc, Instance: c.instance, MayHaveRun: true, Message: noAnswer})
		return
	case gap:
		c.failLocked(c.lost(fmt.Sprintf("frames up to %d were published, up to %d arrived", seq, c.recv.Seq())))
		return
	}
	if anew {
		c.verified()
	}
}

// isAnothers reports whether an instance other than this one has the call.
func (c *inCall) isAnothers(instance string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted && c.instance != instance
}

func (c *inCall) lost(why string) *Error {
	return &Error{Code: Lost, RPC: c.route.desc, Instance: c.instance, MayHaveRun: true, Message: why}
}

// reset fails a call that its instance does not know.
func (c *inCall) reset() {
	defer c.forgetLeft()
	c.mu.Lock()
	defer c.mu.Unlock()
	code := Lost
	if !c.route.desc.Kind.Streams() {
		code = NoAnswer
	}
	c.failLocked(&Error{
		Code: code, RPC: c.route.desc, Instance: c.instance, MayHaveRun: true,
		Message: "the responder has no such call any more: its last frames were lost",
	})
}

// shortAnswer waits for an answer that is whole in its first frame, and leaves
// with it. Whatever else comes of the call is for a reader.
func (c *inCall) shortAnswer(ctx context.Context) (Reply, bool) {
	for {
		c.mu.Lock()
		short := c.isShort()
		reply := Reply{First: c.first.Data}
		if short {
			reply.Info = c.infoLocked()
		}
		more := len(c.queue) > 0 || c.err != nil
		c.mu.Unlock()
		switch {
		case short:
			c.finish()
			c.recycle()
			return reply, true
		case more:
			return Reply{}, false
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return Reply{}, false
		}
	}
}

// isShort reports whether the answer of a unary call is here, whole in its first
// frame. c.mu is held.
func (c *inCall) isShort() bool {
	return c.opened && c.route.desc.Kind == Unary && c.first.Total <= uint64(len(c.first.Data))
}

// take returns what has arrived, in order, waiting for it; or, when nothing
// more will, why.
func (c *inCall) take(ctx context.Context, spare []arrival) ([]arrival, error) {
	for {
		c.mu.Lock()
		if len(c.queue) > 0 {
			got := c.queue
			clear(spare)
			c.queue = spare[:0]
			c.mu.Unlock()
			return got, nil
		}
		err := c.err
		if err == nil && c.wake == nil {
			c.wake = c.box.wakers.Get().(chan struct{})
		}
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil, c.contextError(ctx)
		}
	}
}

func (c *inCall) contextError(ctx context.Context) *Error {
	e := contextError(ctx, c.route.desc)
	e.CallID = callID(c.box.id, c.id)
	return e
}

// release gives back credit for what the reader is done with.
func (c *inCall) release(cost uint64) {
	if cost == 0 {
		return
	}
	c.mu.Lock()
	w := &c.recv.Window
	due := w.Release(cost)
	if w.Starved() && !c.done { // or what is taken would not be given back
		if by := w.Growth(); c.box.values.take(by) {
			c.grown += by
			w.Grow()
			due = true
		}
	}
	if due {
		w.Grant()
	}
	p := c.peer
	c.mu.Unlock()
	if due && p != nil {
		p.credit(c)
	}
}

// granted is the stream's credit, to be told.
func (c *inCall) granted() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recv.Window.Granted()
}
