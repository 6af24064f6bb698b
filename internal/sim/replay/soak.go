// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/sim"
)

// A tally is what all processes have told.
type tally struct {
	mu      sync.Mutex // guards the fields below, and what is printed
	next    uint64     // the first seed that nobody has
	end     uint64
	played  uint64
	broken  int // schedules that broke promises
	report  sim.Report
	busy    time.Duration // what processor they took
	failure error
}

// share is how many schedules a process plays, so that cores end together and
// nothing is kept for long.
const share = 500

// soak plays schedules on all cores.
func soak(ctx context.Context, t task) error {
	began := time.Now()
	all := &tally{next: t.first, end: t.first + t.count}
	var cores sync.WaitGroup
	for range t.cores {
		cores.Go(func() {
			for ctx.Err() == nil && all.some(ctx, t) {
			}
		})
	}
	done := make(chan struct{})
	go func() {
		cores.Wait()
		close(done)
	}()
	for tick := time.NewTicker(10 * time.Second); ; {
		select {
		case <-tick.C:
			all.progress(t, time.Since(began))
			continue
		case <-done:
		}
		break
	}
	return all.total(t, time.Since(began))
}

// some plays a share, or what was left of one; false is the end.
func (a *tally) some(ctx context.Context, t task) bool {
	a.mu.Lock()
	t.first, t.count = a.next, min(share, a.end-a.next)
	a.next += t.count
	failed := a.failure != nil
	a.mu.Unlock()
	if t.count == 0 || failed {
		return false
	}
	for t.count > 0 && ctx.Err() == nil {
		busy, err := t.play(ctx, nil, func(l sim.Line) {
			a.mu.Lock()
			defer a.mu.Unlock()
			t.first, t.count = t.first+1, t.count-1
			a.played++
			a.report.Add(l.Report)
			if l.Broken > 0 {
				a.broken++
			}
		}, func(line string) {
			a.mu.Lock()
			defer a.mu.Unlock()
			fmt.Print(line)
		})
		a.mu.Lock()
		a.busy += busy
		a.mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case err != nil: // in its first, and so on with its second
			a.mu.Lock()
			fmt.Printf("seed %d ended its process: %v; replay: make replay SEED=%d\n", t.first, err, t.first)
			a.broken++
			a.played++
			a.mu.Unlock()
			t.first, t.count = t.first+1, t.count-1
		case t.count > 0:
			a.mu.Lock()
			a.failure = fmt.Errorf("a process played fewer schedules than it was to, up to seed %d", t.first)
			a.mu.Unlock()
			return false
		}
	}
	return true
}

func (a *tally) progress(t task, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(os.Stderr, "%d of %d schedules from seed %d in %v, %.0f a second; %d broke promises\n",
		a.played, t.count, t.first, took.Round(time.Second), float64(a.played)/took.Seconds(), a.broken)
}

// total prints one line of the table in docs/reliability.md.
func (a *tally) total(t task, took time.Duration) error {
	a.progress(t, took)
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(os.Stderr, "%v of processor for each schedule\n", (a.busy / time.Duration(max(1, a.played))).Round(10*time.Microsecond))
	fmt.Printf("| `make soak`, seeds %d to %d | %s |\n", t.first, t.first+a.played-1, a.report.Row(a.broken))
	switch {
	case a.failure != nil:
		return a.failure
	case a.played < t.count:
		return fmt.Errorf("it was stopped")
	case a.broken > 0:
		return errBroken
	}
	return nil
}
