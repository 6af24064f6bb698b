// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

// A source is what a responder has of the shared state.
type source struct {
	*staterpc.Publisher[book, change]
	ctx  context.Context // of its watchers
	end  context.CancelCauseFunc
	conn *conn    // nil: it is never stopped
	held []change // that came while it was stopped
}

// source makes the one of a process, which knows some of what was before it: one
// position of two sources is seldom the same state.
func (w *world) source(name string, c *conn) *source {
	w.publish.Lock()
	defer w.publish.Unlock()
	from := int(w.dice.of("past of " + name).below(uint64(len(w.past))))
	s := &source{conn: c, Publisher: staterpc.NewPublisher(w.before[from], apply, 2000).
		Keep(staterpc.Backlog[change]{Updates: w.backlog})}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	for _, c := range w.past[from:] {
		s.Publish(c)
	}
	w.publishers = append(w.publishers, s)
	return s
}

func (s *source) publish(c ...change) {
	s.held = append(s.held, c...)
	if s.conn.isStopped() {
		return
	}
	for _, c := range s.held {
		s.Publish(c)
	}
	s.held = nil
}

// watch watches the source until it ends.
func (s *source) watch(ctx context.Context) (book, iter.Seq2[change, error], error) {
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return s.Watch(ctx)
}

// renew gives a responder another source, which counts from elsewhere. Those who
// watch the old one lose it, at once or later: until then both change.
func (w *world) renew(r *rand.Rand) {
	lasts := time.Duration(0)
	if onceIn(r, 2) {
		lasts = spell(r)
	}
	w.changed.Lock()
	p := w.responders[r.IntN(len(w.responders))]
	w.changed.Unlock()
	w.renewals++
	fresh := w.source(fmt.Sprint(p.name, " ", w.renewals), p.conn.simulated())
	w.trace.note(p.name, "has another source", "the old lasts", lasts)
	old := p.source.Swap(fresh)
	w.count(func(r *Report) { r.Renewals++ })
	w.soon(lasts, func() {
		old.end(bus.Lost)
		w.retire(old)
	})
}

// catchUp has the sources of processes that were stopped publish what they held:
// there may be no other change.
func (w *world) catchUp() {
	w.publish.Lock()
	defer w.publish.Unlock()
	for _, p := range w.publishers {
		p.publish()
	}
}

// retire takes a source out.
func (w *world) retire(s *source) {
	w.publish.Lock()
	defer w.publish.Unlock()
	w.publishers = slices.DeleteFunc(w.publishers, func(o *source) bool { return o == s })
}
