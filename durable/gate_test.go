// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAGateAdmitsItsLimitAndInTheEndEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{limit: 3, patience: time.Minute}
		var mu sync.Mutex
		var inside, most, done int
		var all sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			inside += n
			most = max(most, inside)
			done += max(-n, 0)
		}
		for range 100 {
			all.Go(func() {
				leave, ok := g.enter(ctx)
				if !ok {
					t.Error("refused")
					return
				}
				count(1)
				time.Sleep(time.Second)
				count(-1)
				leave()
			})
		}
		all.Wait()
		if most != 3 || done != 100 {
			t.Errorf("%d at once, %d in all", most, done)
		}
		if g.inside.Load() != 0 || g.waiting.Load() != 0 {
			t.Errorf("%d inside, %d waiting", g.inside.Load(), g.waiting.Load())
		}
	})
}

func TestWhoWaitsAtAGateLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{limit: 1, patience: time.Hour}
		g.enter(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, ok := g.enter(ctx); ok || time.Since(start) != time.Minute {
			t.Errorf("after %v", time.Since(start))
		}
		if g.inside.Load() != 1 || g.waiting.Load() != 0 {
			t.Errorf("%d inside, %d waiting", g.inside.Load(), g.waiting.Load())
		}
	})
}

// An opening may hang for ever: the others go on all the same.
func TestWhoStaysTooLongNoLongerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{limit: 1, patience: 10 * time.Second}
		late, _ := g.enter(t.Context())
		start := time.Now()
		leave, _ := g.enter(t.Context())
		if d := time.Since(start); d < g.patience || d > g.patience+10*time.Millisecond {
			t.Errorf("the next was admitted after %v", d)
		}
		late()
		if g.inside.Load() != 1 {
			t.Errorf("%d inside", g.inside.Load())
		}
		leave()
		if g.inside.Load() != 0 {
			t.Errorf("%d inside", g.inside.Load())
		}
	})
}

// A crowd asks no more often, all together, than a few.
func TestTheLargerTheCrowdTheLessItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &counting{Context: t.Context()}
		ctx.Context, ctx.cancel = context.WithTimeout(t.Context(), time.Second)
		defer ctx.cancel()
		g := gate{limit: 0}
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { g.enter(ctx) })
		}
		all.Wait()
		if ctx.n > 1000+80_000 {
			t.Errorf("%d asked %d times in a second", 1000, ctx.n)
		}
	})
}

// After an outage of the broker all streams of a process come at once.
func TestACrowdIsThroughInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{limit: 64, patience: time.Minute}
		start := time.Now()
		var all sync.WaitGroup
		for range 10_000 {
			all.Go(func() {
				leave, ok := g.enter(t.Context())
				if !ok {
					t.Error("refused")
					return
				}
				time.Sleep(time.Millisecond) // an opening
				leave()
			})
		}
		all.Wait()
		if took := time.Since(start); took > time.Second {
			t.Errorf("10,000 took %v", took)
		}
	})
}

// counting counts how often its Done is looked at, once in each wait.
type counting struct {
	context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	n      int
}

func (c *counting) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.Context.Done()
}
