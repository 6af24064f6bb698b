// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"iter"
)

// recovered turns a panic of a handler into an error that names the call, and
// leaves the trace in this process's log. P is what recover returned, which only
// the deferred function itself may ask.
func (m *mux) recovered(p any, d Description, by callee, err *error) {
	if p == nil {
		return
	}
	id := by.callID()
	text := "the trace is in the responder's log under call " + id
	if !m.panics.log("a handler", d, id, p) {
		text = "the responder's log has the traces of others of the last minute, and not this one's"
	}
	*err = &Error{Code: Panicked, RPC: d, MayHaveRun: true, Message: text}
}

// updates guards a handler's iterator: its errors are named, and its panics are
// its stream's end. A panic of the loop that reads it passes through. It ends
// with ctx, and never cleanly once that is done: a handler that stopped because
// of ctx did not come to its end.
func (m *mux) updates(ctx context.Context, by callee, seq iter.Seq2[Element, error]) iter.Seq2[Element, error] {
	g := &guard{mux: m, ctx: ctx, by: by, seq: seq}
	return g.updates
}

// A guard is the one loop over a handler's updates. Its frames on the stack are
// small: a stream that idles keeps them.
type guard struct {
	mux    *mux
	ctx    context.Context
	by     callee
	seq    iter.Seq2[Element, error]
	done   <-chan struct{} // of ctx, to be looked at before each update; nil where push does so for each message
	whole  bool            // the reader is the caller itself: what it gets is encoded here
	inside bool            // the handler's code is running, not the reader's
	left   bool            // the reader has enough
	err    error           // the handler's end
}

func (g *guard) updates(yield func(Element, error) bool) {
	if g.loop(yield); !g.left {
		g.end(yield)
	}
}

// end yields how the updates ended, if not well.
func (g *guard) end(yield func(Element, error) bool) {
	switch {
	case g.ctx.Err() != nil:
		yield(Element{}, contextError(g.ctx, g.by.description()))
	case g.err != nil:
		yield(Element{}, g.mux.said(g.err, g.by.description(), g.by.callID()))
	}
}

func (g *guard) loop(yield func(Element, error) bool) {
	g.inside = true
	if _, ok := g.by.(*job); !ok {
		g.done = g.ctx.Done()
	}
	_, g.whole = g.by.(localCall)
	defer g.recover()
	for e, err := range g.seq {
		if g.done != nil && isClosed(g.done) {
			return
		}
		if g.whole && err == nil {
			e, err = e.encoded()
		}
		if err != nil {
			if g.ctx.Err() != nil {
				return
			}
			if err = g.failed(err); g.err != nil {
				return
			}
		}
		g.inside = false
		g.left = !yield(e, err)
		g.inside = true
		if g.left {
			return
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (g *guard) recover() {
	if g.inside {
		g.mux.recovered(recover(), g.by.description(), g.by, &g.err)
	}
}

// failed returns what stands for an update in error, or notes the end.
func (g *guard) failed(err error) error {
	if EndsStream(err) {
		g.err = named(g.by.description(), err)
		return nil
	}
	if element, ok := errors.AsType[*ElementError](err); ok {
		return &ElementError{RPC: g.by.description(), Err: errors.New(element.Err.Error())} // as in said
	}
	return err
}
