// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

// A thing is made by a workshop and may break.
type thing struct {
	number int
	broken bool
}

// A workshop is a recipe that keeps count. Its fields are read and written while
// nothing is under way, or by its own functions, of which one runs at a time.
type workshop struct {
	takes             time.Duration
	created, repaired int
	discarded         []int
	fail              error // what Create and Rebuild return, once
	stillborn         bool  // what Create makes next is broken
}

func (w *workshop) create(ctx context.Context) (*thing, error) {
	w.created++
	n := w.created
	if !wait(ctx, w.takes) {
		return nil, context.Cause(ctx)
	}
	err, stillborn := w.fail, w.stillborn
	w.fail, w.stillborn = nil, false
	if err != nil {
		return nil, err
	}
	return &thing{number: n, broken: stillborn}, nil
}

func (w *workshop) repair(ctx context.Context, t *thing) (*thing, error) {
	w.repaired++
	if !wait(ctx, w.takes) {
		return nil, context.Cause(ctx)
	}
	if err := w.fail; err != nil {
		w.fail = nil
		return nil, err
	}
	t.broken = false
	return t, nil
}

func (w *workshop) recipe(repairs bool) durable.Recipe[*thing] {
	r := durable.Recipe[*thing]{
		Create:  w.create,
		Broken:  func(t *thing) bool { return t.broken },
		Discard: func(t *thing) { w.discarded = append(w.discarded, t.number) },
	}
	if repairs {
		r.Rebuild = w.repair
	}
	return r
}

func newValue(t *testing.T, r durable.Recipe[*thing], atOnce bool) *durable.Value[*thing] {
	t.Helper()
	if !atOnce {
		return durable.NewValue(r)
	}
	v, err := durable.NewValueOrFail(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func get(t *testing.T, v *durable.Value[*thing]) *thing {
	t.Helper()
	got, err := v.Get(t.Context())
	if err != nil || got.broken {
		t.Fatalf("got %+v, %v", got, err)
	}
	return got
}

// S252, S257: what is only constructed is not made; or-fail makes it at once.
func TestAValueIsMadeWhenItIsFirstUsed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		atOnce  bool
		created int
	}{{"S252 at once", true, 1}, {"S257 lazily", false, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			w := &workshop{}
			v := newValue(t, w.recipe(true), tt.atOnce)
			if w.created != tt.created {
				t.Errorf("created %d, want %d", w.created, tt.created)
			}
			if get(t, v); w.created != 1 {
				t.Errorf("created %d after a use", w.created)
			}
			v.Close()
		})
	}
}

// S253, S254, S255: a value breaks, and three uses come at the same time.
func TestUsesAtTheSameTimeShareOneRepair(t *testing.T) {
	for _, tt := range []struct {
		name              string
		atOnce, repairs   bool
		created, repaired int
	}{
		{"S253 at once, with repair", true, true, 1, 1},
		{"S254 lazy, with repair", false, true, 1, 1},
		{"S255 at once, without repair", true, false, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &workshop{takes: time.Second}
				v := newValue(t, w.recipe(tt.repairs), tt.atOnce)
				get(t, v).broken = true
				var users sync.WaitGroup
				start := time.Now()
				for range 3 {
					users.Go(func() { get(t, v) })
				}
				users.Wait()
				if w.created != tt.created || w.repaired != tt.repaired {
					t.Errorf("created %d, repaired %d; want %d, %d", w.created, w.repaired, tt.created, tt.repaired)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %v", took)
				}
				if replaced := tt.created - 1; len(w.discarded) != replaced {
					t.Errorf("discarded %v", w.discarded)
				}
				v.Close()
			})
		})
	}
}

// S258: each use returns the builder's error, and tries anew.
func TestS258AFailureIsOfItsOwnAttempt(t *testing.T) {
	w := &workshop{}
	v := newValue(t, w.recipe(true), false)
	for n := 1; n <= 2; n++ {
		w.fail = errors.New("no wood")
		if _, err := v.Get(t.Context()); err == nil || err.Error() != "no wood" || w.created != n {
			t.Errorf("got %v after %d attempts, want %d", err, w.created, n)
		}
	}
	if get(t, v); w.created != 3 {
		t.Errorf("created %d", w.created)
	}
	v.Close()
}

// S259: a failed repair is the error of its use; the next use creates.
func TestS259AfterAFailedRepairTheNextUseCreates(t *testing.T) {
	w := &workshop{}
	v := newValue(t, w.recipe(true), true)
	get(t, v).broken = true
	w.fail = errors.New("no glue")
	if _, err := v.Get(t.Context()); err == nil || err.Error() != "no glue" || w.created != 1 {
		t.Errorf("got %v, created %d", err, w.created)
	}
	if got := get(t, v); got.number != 2 || w.repaired != 1 || !slices.Equal(w.discarded, []int{1}) {
		t.Errorf("got %+v, repaired %d, discarded %v", got, w.repaired, w.discarded)
	}
	v.Close()
}

// S260: a value that is broken from the start is an error.
func TestS260AValueBrokenFromTheStartIsAnError(t *testing.T) {
	w := &workshop{stillborn: true}
	v := newValue(t, w.recipe(true), false)
	if got, err := v.Get(t.Context()); err != durable.ErrBroken || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got := get(t, v); got.number != 2 || !slices.Equal(w.discarded, []int{1}) {
		t.Errorf("then got %+v, discarded %v", got, w.discarded)
	}
	v.Close()
	w.stillborn = true
	if _, err := durable.NewValueOrFail(t.Context(), w.recipe(true)); err != durable.ErrBroken {
		t.Errorf("or-fail: got %v", err)
	}
}

// S262: what the user of a value does is his own; the value is kept.
func TestS262APanicOfAUserLeavesTheValue(t *testing.T) {
	w := &workshop{}
	v := newValue(t, w.recipe(true), false)
	func() {
		defer func() {
			if recover() != "mine" {
				t.Error("the panic did not pass")
			}
		}()
		get(t, v)
		panic("mine")
	}()
	if get(t, v); w.created != 1 {
		t.Errorf("created %d", w.created)
	}
	v.Close()
}

func TestAPanicIsAnErrorOfItsAttemptOnly(t *testing.T) {
	w := &workshop{}
	r := w.recipe(true)
	panics := true
	r.Create = func(ctx context.Context) (*thing, error) {
		if panics {
			panic("the roof fell in")
		}
		return w.create(ctx)
	}
	r.Rebuild = func(context.Context, *thing) (*thing, error) { panic("again") }
	v := newValue(t, r, false)
	if _, err := v.Get(t.Context()); !errors.Is(err, bus.Panicked) {
		t.Errorf("got %v", err)
	}
	panics = false
	get(t, v).broken = true
	if _, err := v.Get(t.Context()); !errors.Is(err, bus.Panicked) || !slices.Equal(w.discarded, []int{1}) {
		t.Errorf("rebuilding: got %v, discarded %v", err, w.discarded)
	}
	if got := get(t, v); got.number != 2 {
		t.Errorf("then got %+v", got)
	}
	v.Close()
}

func TestAValueThatNobodyGetsIsDiscarded(t *testing.T) {
	w := &workshop{}
	r := w.recipe(true)
	broken, panics := r.Broken, true
	r.Broken = func(v *thing) bool {
		if panics {
			panic("who knows")
		}
		return broken(v)
	}
	v := newValue(t, r, false)
	if _, err := v.Get(t.Context()); !errors.Is(err, bus.Panicked) || !slices.Equal(w.discarded, []int{1}) {
		t.Errorf("made: got %v, discarded %v", err, w.discarded)
	}
	panics = false
	get(t, v).broken = true
	if v.Check() {
		t.Error("what is broken is intact")
	}
	v.Close()
	if !slices.Equal(w.discarded, []int{1, 2}) {
		t.Errorf("discarded %v", w.discarded)
	}
}

func TestAnAttemptThatLeavesItsGoroutineIsAnError(t *testing.T) {
	v := durable.NewValue(durable.Recipe[int]{Create: func(context.Context) (int, error) {
		runtime.Goexit()
		return 1, nil
	}})
	if _, err := v.Get(t.Context()); err == nil {
		t.Error("no error")
	}
	v.Close()
}

func TestARecipeWithoutCreateIsInvalid(t *testing.T) {
	if _, err := durable.NewValueOrFail(t.Context(), durable.Recipe[int]{}); !errors.Is(err, bus.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestAUserWhoGivesUpLeavesTheAttemptToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &workshop{takes: time.Hour}
		v := newValue(t, w.recipe(true), false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var other sync.WaitGroup
		other.Go(func() { get(t, v) })
		start := time.Now()
		if _, err := v.Get(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		other.Wait()
		if w.created != 1 || time.Since(start) != time.Hour {
			t.Errorf("created %d in %v", w.created, time.Since(start))
		}
		v.Close()
	})
}

func TestAnAttemptThatEverybodyGaveUpEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &workshop{takes: time.Hour}
		v := newValue(t, w.recipe(true), false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var first sync.WaitGroup
		first.Go(func() { _, _ = v.Get(ctx) })
		first.Wait()
		w.takes = 0
		if got := get(t, v); got.number != 2 { // never the other's Canceled
			t.Errorf("got %+v", got)
		}
		v.Close()
	})
}

func TestAContextThatIsDoneMakesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &workshop{}
	v := newValue(t, w.recipe(true), false)
	if _, err := v.Get(ctx); !errors.Is(err, context.Canceled) || w.created != 0 {
		t.Errorf("got %v, created %d", err, w.created)
	}
	v.Close()
}

func TestCloseDiscardsTheValueOnce(t *testing.T) {
	w := &workshop{}
	v := newValue(t, w.recipe(true), true)
	v.Close()
	v.Close()
	if !slices.Equal(w.discarded, []int{1}) {
		t.Errorf("discarded %v", w.discarded)
	}
	if _, err := v.Get(t.Context()); err != durable.ErrClosed || v.Check() || w.created != 1 {
		t.Errorf("got %v, created %d", err, w.created)
	}
}

func TestCloseEndsTheAttemptUnderWay(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := &workshop{takes: time.Hour}
			r := w.recipe(true)
			if stubborn {
				r.Create = func(context.Context) (*thing, error) { return w.create(context.WithoutCancel(t.Context())) }
			}
			v := newValue(t, r, false)
			var user sync.WaitGroup
			user.Go(func() {
				if _, err := v.Get(t.Context()); err != durable.ErrClosed {
					t.Errorf("got %v", err)
				}
			})
			synctest.Wait()
			start := time.Now()
			v.Close()
			user.Wait()
			if late := time.Since(start); stubborn != (late == time.Hour) || stubborn != slices.Equal(w.discarded, []int{1}) {
				t.Errorf("stubborn %v: closed after %v, discarded %v", stubborn, late, w.discarded)
			}
		})
	}
}

func TestAnIntactValueAllocatesNothing(t *testing.T) {
	w := &workshop{}
	v := newValue(t, w.recipe(true), true)
	if n := testing.AllocsPerRun(100, func() { get(t, v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	v.Close()
}
