// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/durabus/durabus/internal/sim"
)

// trace prints what happens in one schedule.
func trace(ctx context.Context, t task) error {
	t.count = 1
	broken := 0
	_, err := t.play(ctx, []string{"DURABUS_SIM_TRACE=1"}, func(l sim.Line) { broken += l.Broken }, func(line string) { fmt.Print(line) })
	if err == nil && broken > 0 {
		err = errBroken
	}
	return err
}

// check plays schedules three times, and compares the sums of their traces: in a
// process in order, in another the other way round, and every tenth in one of its
// own.
func check(ctx context.Context, t task) error {
	var orders []replays
	orders = append(orders, replays{task: t}, replays{task: t, settings: []string{"DURABUS_SIM_BACK=1"}})
	for n := uint64(0); n < t.count; n += 10 {
		alone := t
		alone.first, alone.count = t.first+n, 1
		orders = append(orders, replays{task: alone})
	}
	var cores sync.WaitGroup
	free := make(chan struct{}, t.cores)
	for i := range orders {
		free <- struct{}{}
		cores.Go(func() {
			orders[i].play(ctx)
			<-free
		})
	}
	cores.Wait()
	return compare(t, orders)
}

// Replays are those of one process.
type replays struct {
	task
	settings []string
	sums     map[uint64]uint64
	err      error
}

func (r *replays) play(ctx context.Context) {
	r.sums = map[uint64]uint64{}
	_, r.err = r.task.play(ctx, append(r.settings, "DURABUS_SIM_SUMS=1"),
		func(l sim.Line) { r.sums[l.Seed] = l.Sum }, func(string) {})
}

func compare(t task, orders []replays) error {
	count := 0
	differ := map[uint64]bool{}
	for _, r := range orders {
		if r.err != nil {
			return r.err
		}
		for seed, sum := range r.sums {
			count++
			if sum == 0 || sum != orders[0].sums[seed] {
				differ[seed] = true
			}
		}
	}
	if want := 2*t.count + (t.count+9)/10; uint64(count) != want {
		return fmt.Errorf("%d schedules were played, not %d", count, want)
	}
	fmt.Printf("%d schedules from seed %d, played %d times in %d processes: %d differ from one replay to another\n",
		t.count, t.first, count, len(orders), len(differ))
	for i, seed := range slices.Sorted(func(yield func(uint64) bool) {
		for seed := range differ {
			if !yield(seed) {
				return
			}
		}
	}) {
		if i < 20 {
			fmt.Fprintf(os.Stderr, "seed %d differs\n", seed)
		}
	}
	if len(differ) > 0 {
		return errBroken
	}
	return nil
}
