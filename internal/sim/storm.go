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
		w.count(func(r *Report) { r.Faults++ })
		w.fault(r)
	}
	w.net.settle()
}

// fault begins one, and undoes it in the background.
func (w *world) fault(r *rand.Rand) {
	switch r.IntN(15) {
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
	case 10, 11:
		w.stop(r, w.anyone(r).simulated())
	case 12:
		w.jump(r)
	case 13:
		w.upgrade(r)
	case 14:
		w.renew(r)
	}
}

// soon does something after a while, before the storm is over for good.
func (w *world) soon(d time.Duration, do func()) {
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
	w.soon(spell(r), func() { c.back(node) })
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
	w.soon(lasts, func() {}) // it is a fault until then
	if onceIn(r, 2) {
		node := r.IntN(w.nodes)
		away := spell(r)
		w.soon(lasts-time.Microsecond, func() {
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
	w.soon(lasts, func() { w.net.join(a, b) })
}

// crashCaller has one die and another come.
func (w *world) crashCaller(r *rand.Rand) {
	w.changed.Lock()
	n := r.IntN(len(w.callers))
	c := w.callers[n]
	w.callers = slices.Delete(w.callers, n, n+1)
	w.changed.Unlock()
	w.arrive(r)
	noticed := w.die(r, c.conn)
	died := time.Now()
	w.others.Go(func() {
		c.close()
		w.released(c, died, noticed)
	})
}

// unnoticed is how long a broker does not know of a process that died: longer than
// the others need.
const unnoticed = release + time.Second

// die ends a process, and reports whether its broker noticed. A real one does.
func (w *world) die(r *rand.Rand, c link) (noticed bool) {
	if s := c.simulated(); onceIn(r, 2) && s != nil {
		s.vanish(unnoticed)
		w.soon(unnoticed, func() {}) // requests go there until then
		return false
	}
	c.kill()
	return true
}

// crashResponder has one die, and another come, at once or later.
func (w *world) crashResponder(r *rand.Rand) {
	p := w.replace(r)
	if p != nil {
		noticed := w.die(r, p.conn)
		died := time.Now()
		w.others.Go(func() {
			p.close()
			w.givenUp(p, died, noticed)
		})
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
		p.drain(ctx)
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

// stop has a process stop and go on. The broker may give it up meanwhile.
func (w *world) stop(r *rand.Rand, c *conn) {
	lasts, node := spell(r), r.IntN(w.nodes)
	if c == nil {
		return
	}
	w.count(func(r *Report) { r.Stops++ })
	c.stop(time.Now().Add(lasts))
	w.soon(lasts+wakes, func() {})
	if w.pings > 0 && lasts > w.pings {
		w.soon(w.pings, func() { c.givenUp(node) })
	}
}

// jump moves the clock of a caller, also of the one that nothing else happens to.
func (w *world) jump(r *rand.Rand) {
	by := spell(r)
	if onceIn(r, 2) {
		by = -by
	}
	w.changed.Lock()
	c := slices.Concat(w.callers, []*caller{w.neighbour})[r.IntN(len(w.callers)+1)].conn.simulated()
	w.changed.Unlock()
	if c == nil {
		return
	}
	w.count(func(r *Report) { r.Jumps++ })
	c.jump(by)
}
