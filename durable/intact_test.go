// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/durable"
)

// A watcher notes what it is told. Its notes are read when all is quiet.
type watcher struct {
	told  []bool
	ended sync.WaitGroup
}

func watchIntact(ctx context.Context, v *durable.Value[*thing]) *watcher {
	w := &watcher{}
	w.ended.Go(func() {
		for intact := range v.Intact(ctx) {
			w.told = append(w.told, intact)
		}
	})
	synctest.Wait()
	return w
}

func (w *watcher) want(t *testing.T, what string, want ...bool) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(w.told, want) {
		t.Errorf("%s: told %v, want %v", what, w.told, want)
	}
}

// S263: build, break, use, use. Besides the figures there, a watcher is told how
// things are when it comes.
func TestS263IntactIsToldWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newValue(t, (&workshop{takes: time.Second}).recipe(true), false)
		early := watchIntact(t.Context(), v)
		early.want(t, "constructed", false)
		made := get(t, v)
		early.want(t, "built", false, true)
		made.broken = true
		early.want(t, "broken", false, true)
		get(t, v)
		early.want(t, "used", false, true, false, true)
		get(t, v)
		early.want(t, "used again", false, true, false, true)
		late := watchIntact(t.Context(), v)
		late.want(t, "late", true)
		v.Close()
		early.want(t, "closed", false, true, false, true, false)
		late.want(t, "closed", true, false)
		early.ended.Wait()
		late.ended.Wait()
	})
}

func TestCheckTellsOfABreakWithoutAUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &workshop{}
		v := newValue(t, w.recipe(true), true)
		watch := watchIntact(t.Context(), v)
		made := get(t, v)
		for _, broken := range []bool{false, true, true, false} { // which mends by itself
			if made.broken = broken; v.Check() == broken {
				t.Errorf("broken %v: checked otherwise", broken)
			}
		}
		watch.want(t, "checked", true, false, true)
		if w.created != 1 || w.repaired != 0 {
			t.Errorf("created %d, repaired %d", w.created, w.repaired)
		}
		v.Close()
		watch.ended.Wait()
	})
}

// A slow loop misses pairs of changes, but neither the last nor that there were any.
func TestASlowWatcherMissesPairsOnly(t *testing.T) {
	odd, even := []bool{true, false}, []bool{true, false, true}
	for changes, want := range [][]bool{{true}, odd, even, odd, even, odd} {
		synctest.Test(t, func(t *testing.T) {
			v := newValue(t, (&workshop{}).recipe(true), true)
			made := get(t, v)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var told []bool
			for intact := range v.Intact(ctx) {
				if told = append(told, intact); len(told) > 1 {
					continue
				}
				for range changes {
					made.broken = !made.broken
					v.Check()
				}
			}
			if !slices.Equal(told, want) {
				t.Errorf("%d changes: told %v, want %v", changes, told, want)
			}
			v.Close()
		})
	}
}

func TestAWatcherEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newValue(t, (&workshop{}).recipe(true), true)
		ctx, cancel := context.WithCancel(t.Context())
		watch := watchIntact(ctx, v)
		cancel()
		watch.ended.Wait()
		watch.want(t, "canceled", true)
		v.Close()
	})
}
