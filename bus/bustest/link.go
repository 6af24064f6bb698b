// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"iter"
	"sync"

	"github.com/durabus/durabus/bus"
)

// A Link is a [bus.Caller] of handlers in this process that can be cut. Its
// methods may be called from any goroutine.
type Link struct {
	mu     sync.Mutex // guards the fields below
	callee bus.Caller
	conn   span          // until the next Cut; ended while the link is cut
	server span          // until the next Cut or Drain; within conn
	again  chan struct{} // of the present outage or, closed, of the last one

	replaced bool // callee was, since the last announcement
	hearings []*hearing
	waitings []waiting
}

// A span is a time during which calls go on.
type span struct {
	context.Context
	end context.CancelCauseFunc
}

func newSpan(within context.Context) span {
	ctx, end := context.WithCancelCause(within)
	return span{ctx, end}
}

// NewLink returns a link to handlers. Where a handler is wrong every call says
// so, as with [bus.Local].
func NewLink(handlers ...bus.Handler) *Link {
	l := &Link{callee: bus.Local(handlers...)}
	l.connect()
	return l
}

// connect starts both spans. The caller holds mu.
func (l *Link) connect() {
	l.conn = newSpan(context.Background())
	l.server = newSpan(l.conn)
}

// Cut ends every call and stream in progress, and fails new ones, with
// [bus.Disconnected]. Their Error.Again is closed by Heal. MayHaveRun is true
// for those in progress and false for new ones. The contexts of the handlers
// are done, with that code for a cause. Cutting twice is cutting once.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn.Err() != nil {
		return
	}
	l.again = make(chan struct{})
	l.conn.end(bus.Disconnected)
}

// Heal undoes Cut. With handlers, these answer calls from now on, as after an
// upgrade; where the link was not cut, older streams stay with the handlers they
// have.
func (l *Link) Heal(handlers ...bus.Handler) {
	l.mu.Lock()
	if len(handlers) > 0 {
		l.callee, l.replaced = bus.Local(handlers...), true
	}
	if l.conn.Err() != nil {
		l.connect()
		close(l.again)
	}
	tell := l.announce()
	l.mu.Unlock()
	tell()
}

// Drain moves to new handlers as a rolling upgrade does: streams end with
// [bus.Draining], calls in progress come to their end, and new ones go to
// handlers, or without any to those the link has. On a link that is cut it only
// replaces the handlers.
func (l *Link) Drain(handlers ...bus.Handler) {
	l.mu.Lock()
	if len(handlers) > 0 {
		l.callee, l.replaced = bus.Local(handlers...), true
	}
	tell := func() {} // while the link is cut nobody would hear it
	if l.conn.Err() == nil {
		l.server.end(bus.Draining)
		l.server = newSpan(l.conn)
		tell = l.announce()
	}
	l.mu.Unlock()
	tell()
}

// take returns who answers a call of this kind now, and for how long.
func (l *Link) take(d bus.Description) (bus.Caller, context.Context, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.conn.Err() != nil:
		return nil, nil, &bus.Error{Code: bus.Disconnected, RPC: d, Message: "the link is cut", Again: l.again}
	case d.Kind.Streams():
		return l.callee, l.server, nil
	}
	return l.callee, l.conn, nil
}

// Call implements [bus.Caller]. It runs the handler on the caller's goroutine.
func (l *Link) Call(ctx context.Context, c bus.Call) (bus.Reply, error) {
	callee, during, err := l.take(c.Description)
	if err != nil {
		return bus.Reply{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(during, func() { cancel(context.Cause(during)) })
	release := func() {
		stop()
		cancel(nil)
	}
	r, err := callee.Call(ctx, c)
	if during.Err() != nil {
		release()
		return bus.Reply{Info: r.Info}, l.broken(during, r.Info)
	}
	if err != nil || r.Updates == nil {
		release()
		return r, l.unserved(c.Description, err)
	}
	r.Updates = l.updates(during, r, release)
	return r, nil
}

// updates are those of r, for as long as the span lasts.
func (l *Link) updates(during context.Context, r bus.Reply, release func()) iter.Seq2[bus.Element, error] {
	return func(yield func(bus.Element, error) bool) {
		defer release()
		for e, err := range r.Updates {
			if during.Err() != nil {
				break
			}
			if !yield(e, err) || bus.EndsStream(err) {
				return
			}
		}
		if during.Err() != nil {
			yield(bus.Element{}, l.broken(during, r.Info))
		}
	}
}

// broken is the error of a call that its span did not last for.
func (l *Link) broken(during context.Context, info bus.Info) error {
	if context.Cause(during) == bus.Draining {
		return &bus.Error{
			Code: bus.Draining, RPC: info.RPC, Instance: info.Instance, CallID: info.CallID,
			MayHaveRun: true, Message: "the responder is leaving",
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &bus.Error{
		Code: bus.Disconnected, RPC: info.RPC, CallID: info.CallID,
		MayHaveRun: true, Message: "the link was cut", Again: l.again,
	}
}

// unserved gives the error of a call that nobody takes its Again.
func (l *Link) unserved(d bus.Description, err error) error {
	e, ok := err.(*bus.Error)
	if !ok || e.Again != nil || e.Code != bus.NoResponder && e.Code != bus.Unserved {
		return err
	}
	c := *e
	c.Again = l.Comes(d.Name, d.Version)
	return &c
}

// Served implements [bus.Caller].
func (l *Link) Served(ctx context.Context, name string) ([]int, error) {
	callee, _, err := l.take(bus.Description{Name: name})
	if err != nil {
		return nil, err
	}
	return callee.Served(ctx, name)
}
