// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
)

// A TraceKind says how far a call has come.
type TraceKind uint8

// The kinds of [TraceEvent], in the order in which they come.
const (
	Queried  TraceKind = iota + 1 // the call is about to be sent, or has arrived
	Accepted                      // the verdict is good; Bytes is the size of the answer or the state
	Updated                       // an update is passing; Updates counts it
	Ended                         // nothing more comes; Err says why, or is nil
)

var traceKinds = [...]string{"unknown event", "queried", "accepted", "updated", "ended"}

func (k TraceKind) String() string {
	if int(k) >= len(traceKinds) {
		k = 0
	}
	return traceKinds[k]
}

// A TraceEvent is one step of one call.
type TraceEvent struct {
	Kind TraceKind
	RPC  Description
	Call uint64 // counts the calls of one Trace, from 1

	// CallID is the same on both sides. A caller learns it when the call is
	// answered: it is empty in its Queried, and where nothing was sent or nobody
	// answers a one-way message.
	CallID   string
	Received bool   // at the responder, not at the caller
	Bytes    int    // of the query in Queried, of the first value in Accepted
	Updates  uint64 // so far, those in error included
	Err      error  // of Ended, and of an Updated that is an [ElementError]
}

// Trace tells of every step of every call, on either side and for every kind:
// Queried, Accepted if the verdict was good, Updated for each update, and Ended
// once. The Ended of a stream comes with the end of the loop over its updates;
// one that its reader left has [Canceled] for its Err. Tell is called on the
// goroutine of the call, which waits for it, and by many calls at a time; a panic
// of it is logged, four of an RPC in a minute at most, and no call fails for it.
func Trace(tell func(TraceEvent)) Middleware {
	var calls atomic.Uint64
	panics := new(panics)
	return func(next CallFunc) CallFunc {
		return func(ctx context.Context, c Call) (r Reply, err error) {
			t := trace{tell, panics, TraceEvent{RPC: c.Description, Call: calls.Add(1), Received: c.received}}
			if c.received {
				t.CallID = IncomingCall(ctx).CallID
			}
			t.Bytes = len(c.Query)
			t.step(Queried, nil)
			err = Panicked // unless next returns
			defer func() {
				if err != nil || r.Updates == nil {
					t.step(Ended, err)
				}
			}()
			r, err = next(ctx, c)
			t.name(r, err)
			if err == nil {
				t.Bytes = len(r.First)
				t.step(Accepted, nil)
			}
			if err == nil && r.Updates != nil {
				r.Updates = t.updates(r.Updates)
			}
			return r, err
		}
	}
}

// A trace is one call's.
type trace struct {
	tell   func(TraceEvent)
	panics *panics // of tell
	TraceEvent
}

func (t *trace) step(k TraceKind, err error) {
	ev := t.TraceEvent
	ev.Kind, ev.Err = k, err
	t.Bytes = 0
	defer func() {
		if p := recover(); p != nil {
			t.panics.log("the function of a Trace", ev.RPC, ev.CallID, p)
		}
	}()
	t.tell(ev)
}

// name takes the call's id from what came back, at the caller.
func (t *trace) name(r Reply, err error) {
	if t.Received {
		return
	}
	t.CallID = r.CallID
	if e, ok := errors.AsType[*Error](err); ok {
		t.CallID = e.CallID
	}
}

func (t *trace) updates(updates iter.Seq2[Element, error]) iter.Seq2[Element, error] {
	return func(yield func(Element, error) bool) {
		end := error(Panicked) // unless the loop returns
		defer func() { t.step(Ended, end) }()
		for e, err := range updates {
			if EndsStream(err) {
				end = err
				yield(e, err)
				return
			}
			if err == nil || IsElement(err) {
				t.Updates++
				t.step(Updated, err)
			}
			if !yield(e, err) {
				end = Canceled
				return
			}
		}
		end = nil
	}
}
