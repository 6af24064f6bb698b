// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/durabus/durabus/bus"
)

// share begins the workloads that read what others read too.
func (c *caller) share() {
	for n := range 1 + c.dice.of("shared books").below(uint64(min(2, c.world.scale.books))) {
		f := &follower{name: fmt.Sprint(c.name, " shared book ", n)}
		c.books = append(c.books, f)
		c.work.Go(func() { c.keep(f, sharedBookRPC, c.dice.of(f.name).rand()) })
	}
	c.work.Go(func() { c.listen(&follower{name: c.name + " shared feed"}, sharedFeedRPC) })
}

// Tapes are pipes that are shared by all who ask for the same at the same time. Of
// the last there is more than is kept for a reader who is slow.
const tapes = 5

// tape yields some items, which depend on the query alone but for which run they
// are of.
func (r *responder) tape(ctx context.Context, of int) (iter.Seq2[item, error], error) {
	o := r.world.oracle
	n, run := o.tape()
	return func(yield func(item, error) bool) {
		count, takes, size := 10*(of+1), time.Duration(1+of*of)*10*time.Millisecond, 0
		if of == tapes-1 {
			takes, size = 10*time.Millisecond, 100<<10
		}
		for i := range count {
			if !r.conn.wait(ctx, takes) {
				yield(item{}, context.Cause(ctx))
				return
			}
			o.made(run, false)
			if !yield(item{Run: n, N: i + 1, Pad: pad(i*i + size)}, nil) {
				return
			}
		}
		if of == 0 {
			yield(item{}, bus.Failed)
			return
		}
		o.made(run, true)
	}, nil
}

// play reads a tape from where it is.
func (c *caller) play(r *rand.Rand) {
	o := c.world.oracle
	which, leaves, slow := r.IntN(tapes-1), -1, time.Duration(0)
	if onceIn(r, 16) {
		which = tapes - 1
	}
	if onceIn(r, 4) {
		leaves = r.IntN(30)
	}
	if onceIn(r, 3) {
		slow = between(r, time.Microsecond, 200*time.Millisecond)
	}
	updates, err := tapeRPC.Client(c.client)(c.ctx, which)
	if err != nil {
		return
	}
	var last item
	for u, err := range updates {
		if err != nil {
			return
		}
		o.played(c.name, u, last)
		if last = u; u.N == leaves {
			return
		}
		c.conn.wait(c.ctx, slow)
	}
	o.playedOut(c.name, last)
}

// tape notes that a shared pipe begins, as run n.
func (o *oracle) tape() (n int, r *run) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r = &run{}
	o.tapes = append(o.tapes, r)
	return len(o.tapes), r
}

// played checks the next update of a shared pipe, whose readers may come late.
func (o *oracle) played(who string, u, last item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.report.Updates++
	switch {
	case u.Run < 1 || u.Run > len(o.tapes) || u.N < 1 || u.N > o.tapes[u.Run-1].made:
		o.fail("I1", "%s got update %d of tape %d, which was not made", who, u.N, u.Run)
	case last.Run != 0 && (u.Run != last.Run || u.N != last.N+1):
		o.fail("I1", "%s got update %d of tape %d after %d of tape %d", who, u.N, u.Run, last.N, last.Run)
	}
}

// playedOut checks a shared pipe that ended without an error. A reader who came at
// its end has seen none of it.
func (o *oracle) playedOut(who string, last item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.report.Shared++
	if last.Run == 0 {
		return
	}
	if r := o.tapes[last.Run-1]; !r.whole || r.made != last.N {
		o.fail("I1", "%s has tape %d to its end, and %d of %d updates", who, last.Run, last.N, r.made)
	}
}
