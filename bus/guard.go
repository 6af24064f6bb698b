// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
)

// recovered turns a panic of a handler into an error that names the call, and
// leaves the trace in this process's log. P is what recover returned, which only
// the deferred function itself may ask.
func recovered(p any, d Description, by callee, err *error) {
	if p != nil {
		id := by.callID()
		slog.Error("durabus: a handler panicked", "rpc", d.String(), "call", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = &Error{Code: Panicked, RPC: d, MayHaveRun: true, Message: "the trace is in the responder's log under call " + id}
	}
}

// updates guards a handler's iterator: its errors are named, and its panics are
// its stream's end. A panic of the loop that reads it passes through. It ends
// with ctx, and never cleanly once that is done: a handler that stopped because
// of ctx did not come to its end.
func (m *mux) updates(ctx context.Context, d Description, by callee, seq iter.Seq2[Element, error]) iter.Seq2[Element, error] {
	return func(yield func(Element, error) bool) {
		inside, left := true, false // the handler's code is running, not the reader's; the reader has enough
		var err error
		func() {
			defer func() {
				if inside {
					recovered(recover(), d, by, &err)
				}
			}()
			for e, uerr := range seq {
				if ctx.Err() != nil {
					return
				}
				if uerr != nil {
					if EndsStream(uerr) {
						err = uerr
						return
					}
					if element, ok := errors.AsType[*ElementError](uerr); ok {
						uerr = &ElementError{RPC: d, Err: errors.New(element.Err.Error())} // as in said
					}
				}
				inside = false
				left = !yield(e, uerr)
				inside = true
				if left {
					return
				}
			}
		}()
		switch {
		case left:
		case ctx.Err() != nil:
			yield(Element{}, contextError(ctx, d))
		case err != nil:
			yield(Element{}, m.said(err, d, by.callID()))
		}
	}
}
