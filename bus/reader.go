// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/wire"
)

// A reader is the user's goroutine in one call: it takes out what arrived, puts
// long values together, counts updates and gives back credit.
type reader struct {
	c       *inCall
	*inHand                 // nil of a stream that is not read yet
	ctx     context.Context // of the updates
	stop    func() bool     // what its end does to c
	count   uint64          // updates
	call    *Call           // to take the stream up with, if it may be
	at      *progress
	watcher *watcher // of the feed on which the updates come; nil
	used    bool
	broken  bool // a Break was told, and not its end
}

// What is in hand has been taken off a call and not passed on.
type inHand struct {
	pending  []arrival // not looked at
	spare    []arrival
	value    flow.Value
	reserved uint64 // bytes of the values' budget that value has
}

// next returns the next frame.
func (r *reader) next(ctx context.Context) (arrival, error) {
	if len(r.pending) == 0 {
		got, err := r.c.take(ctx, r.spare)
		if err != nil {
			return arrival{}, err
		}
		r.pending, r.spare = got, got
	}
	a := r.pending[0]
	r.pending = r.pending[1:]
	return a, nil
}

// reply waits for the call's first value.
func (r *reader) reply(ctx context.Context) (Reply, error) {
	c := r.c
	first, err := r.first(ctx)
	if err != nil || !c.route.desc.Kind.Streams() {
		reply := Reply{Info: r.info(), First: first}
		c.finish()
		c.recycle()
		return reply, err
	}
	r.begun()
	if how, _ := ctx.Value(resumeKey{}).(Resume); how.Anew {
		c.trouble(troubleRefetched)
	}
	r.ctx = ctx
	reply := Reply{Info: r.located(r.info()), First: first, Updates: r.loop, reader: r}
	if c.shared() {
		if err = r.watch(ctx); err != nil {
			return Reply{Info: reply.Info}, err
		}
	} else { // whoever never loops is released by its context
		r.stop = afterFunc(ctx, c.finish)
	}
	r.idle()
	return reply, nil
}

// afterFunc is that of package context. It costs nothing where ctx never ends.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, f)
}

// loop is the loop over updates. A stream that is taken up may go on by a feed, or
// leave one.
func (r *reader) loop(yield func(Element, error) bool) {
	if r.used {
		yield(Element{}, &Error{Code: Invalid, RPC: r.c.route.desc, Message: "updates are single-use: call again for another loop"})
		return
	}
	r.used = true
	defer r.leave()
	if r.inHand == nil {
		r.inHand = new(inHand)
	}
	for more := true; more; {
		if r.watcher != nil {
			err := r.watcher.updates(r.ctx, yield)
			more = err != nil && r.resume(r.ctx, err, yield)
		} else {
			more = r.updates(r.ctx, yield)
		}
	}
}

// leave ends the stream: nothing is left of the call.
func (r *reader) leave() {
	r.stop()
	r.c.finish()
	if r.watcher != nil {
		r.watcher.leave()
	}
}

// idle lets go of what is needed only to read.
func (r *reader) idle() {
	if len(r.pending) == 0 {
		r.inHand = nil
	}
	r.c.park()
}

func (r *reader) info() Info {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.infoLocked()
}

func (c *inCall) infoLocked() Info {
	return Info{RPC: c.route.desc, Instance: c.instance, CallID: callID(c.box.id, c.id), Metadata: c.first.Metadata}
}

// first puts the first value together.
func (r *reader) first(ctx context.Context) ([]byte, error) {
	defer r.unreserve()
	for {
		a, err := r.next(ctx)
		switch {
		case err != nil:
			return nil, err
		case a.kind == wire.KindEnd:
			return nil, r.ended()
		case a.kind == wire.KindFirst:
			if err := r.begin(a); err != nil {
				return nil, err
			}
		case a.kind != wire.KindChunk || !r.value.Add(a.payload):
			return nil, r.misplaced(a)
		}
		r.c.release(a.cost)
		if v, whole := r.value.Take(); whole {
			return v, nil
		}
	}
}

// begin starts a value in pieces, for which there must be room.
func (r *reader) begin(a arrival) error {
	total := max(a.total, uint64(len(a.payload)))
	if total > MaxValue {
		return r.lost(fmt.Sprintf("a value of %d bytes was announced, at most %d are allowed", total, MaxValue))
	}
	if total > uint64(len(a.payload)) {
		if !r.c.box.values.take(total) {
			return &Error{
				Code: TooLarge, RPC: r.c.route.desc, MayHaveRun: true,
				Message: fmt.Sprintf("no room for a value of %d bytes: this client puts others together now", total),
			}
		}
		r.reserved = total
	}
	if !r.value.Begin(total, a.payload) {
		return r.misplaced(a)
	}
	return nil
}

func (r *reader) unreserve() {
	if r.inHand != nil && r.reserved > 0 {
		r.c.box.values.put(r.reserved)
		r.reserved = 0
	}
}

// lost is [inCall.lost] of what the reader alone sees.
func (r *reader) lost(why string) *Error {
	r.c.trouble(troubleLost, "why", why)
	return r.c.lost(why)
}

func (r *reader) misplaced(a arrival) error {
	return r.lost(fmt.Sprintf("a %v frame came where none belongs", a.kind))
}

// ended returns the error that the call's End carries, or what is wrong with it.
func (r *reader) ended() error {
	r.c.mu.Lock()
	end, instance := r.c.end, r.c.instance
	r.c.mu.Unlock()
	if end.Error != nil {
		e := fromWire(end.Error, r.c.route.desc)
		if e.Instance == "" {
			e.Instance = instance
		}
		if instance == "" { // it refused without accepting
			r.c.setInstance(e.Instance)
		}
		if e.CallID == "" {
			e.CallID = callID(r.c.box.id, r.c.id)
		}
		return e
	}
	switch {
	case !r.c.isOpen():
		return r.lost("the call ended without an answer")
	case r.value.Partial():
		return r.lost("the stream ended within an update")
	case end.Count != r.count:
		return r.lost(fmt.Sprintf("%d updates were sent, %d arrived", end.Count, r.count))
	}
	return nil
}

func (c *inCall) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

func (c *inCall) setInstance(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instance = id
}

// refusal is the error of a one-way call that was answered after all.
func (r *reader) refusal() error {
	r.c.mu.Lock()
	err, answered := r.c.err, r.c.recv.Ended()
	r.c.mu.Unlock()
	switch {
	case answered && r.c.end.Error != nil:
		return r.ended()
	case err != nil:
		return err
	}
	return nil
}

// updates yields until the stream ends or the loop is left; it reports true if it
// was taken up as another.
func (r *reader) updates(ctx context.Context, yield func(Element, error) bool) (goesOn bool) {
	defer r.unreserve()
	for {
		a, err := r.next(ctx)
		if err != nil {
			return r.resume(ctx, err, yield)
		}
		more := true
		switch a.kind {
		case wire.KindData:
			more = r.elements(a, yield)
		case wire.KindChunk:
			more = r.piece(a, yield)
		case wire.KindFault:
			r.count++
			r.at.taking()
			more = yield(Element{}, a.err)
		case 0:
			more = r.tell(a.err.(*Break), yield)
		case wire.KindEnd:
			if err := r.ended(); err != nil {
				yield(Element{}, err)
			}
			return false
		default:
			yield(Element{}, r.misplaced(a))
			return false
		}
		if !more {
			return false
		}
		r.c.release(a.cost)
	}
}

func (r *reader) elements(a arrival, yield func(Element, error) bool) bool {
	if at := r.at.place(); !at.goesOn(a) {
		yield(Element{}, r.lost(fmt.Sprintf("updates behind position %d of their source came behind %d", a.before, at.position)))
		return false
	}
	records := a.payload
	if r.value.Partial() {
		yield(Element{}, r.lost("an update came within another"))
		return false
	}
	r.at.taking()
	for len(records) > 0 {
		data, rest, err := wire.NextElement(records)
		if err != nil {
			yield(Element{}, r.lost("malformed updates: "+err.Error()))
			return false
		}
		records = rest
		r.count++
		if !yield(Element{data: data}, nil) {
			return false
		}
	}
	r.at.took(a)
	return true
}

func (r *reader) piece(a arrival, yield func(Element, error) bool) bool {
	if a.total > 0 {
		if err := r.begin(a); err != nil {
			yield(Element{}, err)
			return false
		}
	} else if !r.value.Add(a.payload) {
		yield(Element{}, r.misplaced(a))
		return false
	}
	if v, whole := r.value.Take(); whole {
		r.unreserve()
		r.count++
		r.at.taking()
		return yield(Element{data: v}, nil)
	}
	return true
}
