// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

// visit calls a responder of its own all the time: nothing happens to either,
// so that every call is answered at once.
func (c *caller) visit(home *responder) {
	o := c.world.oracle
	f := nearRPC.Client(c.client.WithInstance(home.server.Instance()))
	soon := 8*c.world.delay.most + 10*time.Millisecond
	for n := 1; wait(c.ctx, 2*c.world.scale.near); n++ {
		if n%4 == 0 {
			c.browse(home, soon)
			continue
		}
		of := o.begin(c.name, "near", false, 0)
		_, err := f(c.ctx, query{Call: of.id, Caller: c.name})
		if c.ctx.Err() != nil {
			return
		}
		o.end(of, err)
		took := time.Since(of.began)
		o.mu.Lock()
		o.report.Near = max(o.report.Near, took)
		if err != nil || took > soon {
			o.fail("I4", "a call between two that nothing happens to took %v and ended with %v", took, err)
		}
		o.mu.Unlock()
	}
}

// browse reads a short stream of its own responder, which has nothing to wait for.
func (c *caller) browse(home *responder, soon time.Duration) {
	const count = 3
	o := c.world.oracle
	of := o.begin(c.name, "near list", false, 0)
	updates, err := streamRPC.Client(c.client.WithInstance(home.server.Instance()))(c.ctx, query{Call: of.id, Caller: c.name, Count: count})
	run, got := 0, 0
	if err == nil {
		for u, failed := range updates {
			if err = failed; err != nil {
				break
			}
			got++
			o.read(of, u, &run, got)
		}
	}
	if c.ctx.Err() != nil {
		return
	}
	o.end(of, err)
	if took := time.Since(of.began); err != nil || got != count || took > soon {
		o.broken("I1", "a pipe between two that nothing happens to took %v, had %d of %d updates and ended with %v", took, got, count, err)
	}
}

// stay reads a stream of its own responder until it leaves.
func (c *caller) stay(home *responder) {
	o := c.world.oracle
	f := streamRPC.Client(c.client.WithInstance(home.server.Instance()))
	of := o.begin(c.name, "near stream", false, 0)
	o.mu.Lock()
	of.ended = true // it is not waited for
	o.mu.Unlock()
	updates, err := f(c.ctx, query{Call: of.id, Caller: c.name, Takes: c.world.scale.near, Count: 1 << 30})
	if err != nil {
		o.broken("I4", "a stream between two that nothing happens to: %v", err)
		return
	}
	run, got := 0, 0
	for u, err := range updates {
		if c.ctx.Err() != nil {
			return
		}
		if err != nil {
			o.broken("I4", "a stream between two that nothing happens to ended: %v", err)
			return
		}
		got++
		o.read(of, u, &run, got)
	}
}

// recover waits until all followers have what there was when the last fault was
// over.
func (w *world) recover() {
	began, latest := time.Now(), w.oracle.latest()
	behind := func() (names []string) {
		for _, c := range w.callers {
			for _, f := range c.books {
				if f.at.Load() < latest || !f.live.Load() {
					names = append(names, f.name)
				}
			}
		}
		return names
	}
	for len(behind()) > 0 && time.Since(began) < recovery {
		wait(context.Background(), 10*time.Millisecond)
	}
	for _, name := range behind() {
		w.oracle.broken("I2", "%s is not up to date %v after the last fault", name, time.Since(began))
	}
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	w.oracle.report.Recovery = time.Since(began)
}

// givenBack is how long a stream may wait for credit that was lost on its way: the
// second heartbeat since says what was.
const givenBack = 2*flow.BeatEvery + flow.Tick + time.Second

// calmed checks what is left once nothing changes any more.
func (w *world) calmed() {
	until := time.Now()
	for len(w.oracle.open(until)) > 0 && time.Since(until) < ending {
		wait(context.Background(), 10*time.Millisecond)
	}
	for _, c := range w.oracle.open(until) {
		w.oracle.broken("I3", "%s has not ended %v after the last fault", c, ending)
	}
	wait(context.Background(), time.Second+w.delay.latest) // what was late before the storm was over still comes
	behind := func() bool {
		return slices.ContainsFunc(w.callers, func(c *caller) bool {
			return slices.ContainsFunc(c.books, func(f *follower) bool { return f.at.Load() != w.oracle.latest() })
		})
	}
	for began := time.Now(); behind() && time.Since(began) < givenBack; {
		wait(context.Background(), 10*time.Millisecond)
	}
	for _, c := range w.callers {
		for _, f := range c.books {
			if at := f.at.Load(); at != w.oracle.latest() {
				w.oracle.broken("I2", "%s holds %d when the newest is %d", f.name, at, w.oracle.latest())
			}
		}
	}
}

// settled checks that each caller is answered.
func (w *world) settled() {
	for _, c := range w.callers {
		r := rand.New(rand.NewPCG(1, 1))
		if err := c.ask(r, "settled get", getRPC.Client(c.client), true); err != nil {
			w.oracle.broken("I3", "%s is not answered when nothing breaks any more: %v", c.name, err)
		}
	}
}

// leave ends everything, and checks that nothing is left.
func (w *world) leave(neighbour *caller, home *responder) {
	for _, c := range append(w.callers, neighbour) {
		c.stop()
	}
	home.requests.patience(w.oracle, neighbour.client.Snapshot().ID)
	w.emptied()
	for _, c := range append(w.callers, neighbour) {
		c.close()
	}
	for _, r := range append(w.responders, home) {
		r.close()
	}
	said := w.net.close()
	if said.open > 0 {
		w.oracle.broken("I5", "%d subscriptions are left", said.open)
	}
	report := &w.oracle.report
	report.Messages, report.Slow, report.Aged, report.Blocked = said.messages, said.slow, said.aged, said.blocked
}
