// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// storm breaks one thing after the other. When it returns everything is whole
// again, or will be when the others have ended.
func (w *world) storm(r *rand.Rand) {
	until, gap := time.Now().Add(between(r, w.scale.storm/3, w.scale.storm)), between(r, 100*time.Millisecond, 3*time.Second)
	for time.Now().Before(until) {
		wait(context.Background(), between(r, time.Millisecond, gap))
		w.oracle.mu.Lock()
		w.oracle.report.Faults++
		w.oracle.mu.Unlock()
		w.fault(r)
	}
	w.net.settle()
}

// fault begins one, and undoes it in the background.
func (w *world) fault(r *rand.Rand) {
	switch r.IntN(10) {
	case 0, 1:
		w.cut(r, w.anyone(r))
	case 2, 3:
		w.hang(r, w.anyone(r))
	case 4, 5:
		w.split(r)
	case 6:
		w.crashCaller(r)
	case 7:
		w.crashResponder(r)
	case 8:
		w.drain(r)
	case 9:
		w.cutAll(r)
	}
}

// later does something after a while, before the storm is over for good.
func (w *world) later(d time.Duration, do func()) {
	w.others.Go(func() {
		wait(context.Background(), d)
		do()
	})
}

// spell draws how long something lasts: often a moment, at times longer than
// silence may last.
func spell(r *rand.Rand) time.Duration {
	switch r.IntN(4) {
	case 0:
		return between(r, 10*time.Microsecond, 20*time.Millisecond)
	case 1:
		return between(r, 3*time.Second, 9*time.Second)
	}
	return between(r, 20*time.Millisecond, 3*time.Second)
}

// anyone draws a connection of those that something may happen to.
func (w *world) anyone(r *rand.Rand) link {
	w.changed.Lock()
	defer w.changed.Unlock()
	n := r.IntN(len(w.callers) + len(w.responders))
	if n < len(w.callers) {
		return w.callers[n].conn
	}
	return w.responders[n-len(w.callers)].conn
}

func (w *world) cut(r *rand.Rand, c link) {
	c.sever(onceIn(r, 2))
	node := r.IntN(w.nodes)
	w.later(spell(r), func() { c.back(node) })
}

// cutAll is a broker that restarts.
func (w *world) cutAll(r *rand.Rand) {
	w.changed.Lock()
	var cs []link
	for _, c := range w.callers {
		cs = append(cs, c.conn)
	}
	for _, p := range w.responders {
		cs = append(cs, p.conn)
	}
	w.changed.Unlock()
	if w.restart != nil {
		w.restarts++
		lasts := spell(w.dice.of("restart").nth(w.restarts).rand())
		w.others.Go(func() {
			if err := w.restart(lasts); err != nil {
				w.oracle.broken("I3", "the broker does not start again: %v", err)
			}
		})
	}
	for _, c := range cs {
		w.cut(r, c)
	}
}

// hang holds up a connection, which then goes on or is cut.
func (w *world) hang(r *rand.Rand, c link) {
	lasts := spell(r)
	way := r.IntN(3)
	c.hang(way != 1, way != 2, time.Now().Add(lasts))
	w.later(lasts, func() {}) // it is a fault until then
	if onceIn(r, 2) {
		node := r.IntN(w.nodes)
		away := spell(r)
		w.later(lasts-time.Microsecond, func() {
			c.sever(false)
			wait(context.Background(), away)
			c.back(node)
		})
	}
}

// split parts two brokers; one pair at a time.
func (w *world) split(r *rand.Rand) {
	lasts, a := spell(r), r.IntN(w.nodes)
	b := (a + 1) % w.nodes
	if a == b {
		return
	}
	w.net.split(a, b)
	w.later(lasts, func() { w.net.join(a, b) })
}

// crashCaller has one die and another come.
func (w *world) crashCaller(r *rand.Rand) {
	w.changed.Lock()
	n := r.IntN(len(w.callers))
	c := w.callers[n]
	w.callers = slices.Delete(w.callers, n, n+1)
	w.changed.Unlock()
	w.arrive(r)
	c.conn.kill()
	died := time.Now()
	w.others.Go(func() {
		c.close()
		w.released(c.name, died)
	})
}

// released waits until no handler runs for a caller that died.
func (w *world) released(name string, died time.Time) {
	for w.oracle.handlers(name) > 0 {
		if time.Since(died) > longest+release {
			w.oracle.broken("I5", "%d handlers run for %s, which died %v ago", w.oracle.handlers(name), name, time.Since(died))
			return
		}
		wait(context.Background(), 10*time.Millisecond)
	}
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	w.oracle.report.Release = max(w.oracle.report.Release, time.Since(died))
}

// crashResponder has one die, and another come, at once or later.
func (w *world) crashResponder(r *rand.Rand) {
	p := w.replace(r)
	if p != nil {
		p.conn.kill()
		w.others.Go(p.close)
	}
}

// drain has one leave, and another come.
func (w *world) drain(r *rand.Rand) {
	p, patience := w.replace(r), between(r, time.Millisecond, 5*time.Second)
	if p == nil {
		return
	}
	w.others.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		w.trace.note(p.name, "drains")
		_ = p.server.Drain(ctx) // its handlers may take longer, and its connection be cut
		w.trace.note(p.name, "has drained")
		p.close()
	})
}

// replace takes a responder out of the list and adds another.
func (w *world) replace(r *rand.Rand) *responder {
	w.changed.Lock()
	n := r.IntN(len(w.responders))
	p := w.responders[n]
	w.responders = slices.Delete(w.responders, n, n+1)
	w.changed.Unlock()
	w.join(r)
	return p
}
