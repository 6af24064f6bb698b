// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

// recording is a policy that notes its n and waits a second.
func recording(ns *[]int) durable.Policy {
	return durable.Policy{Wait: func(n int) time.Duration {
		*ns = append(*ns, n)
		return time.Second
	}}
}

// spread fails the test unless all of ds are within [0, bound), and fill it.
func spread(t *testing.T, what string, ds []time.Duration, bound time.Duration) {
	t.Helper()
	if lo, hi := slices.Min(ds), slices.Max(ds); lo < 0 || hi >= bound || lo > bound/4 || hi < bound*3/4 {
		t.Errorf("%s: %d waits from %v to %v, want them spread over %v", what, len(ds), lo, hi, bound)
	}
}

func TestTheDefaultWaitIsRandomAndDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bounds := []time.Duration{
			100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond,
			3200 * time.Millisecond, 6400 * time.Millisecond, 10 * time.Second, 10 * time.Second, 10 * time.Second,
		}
		waits := make([][]time.Duration, len(bounds))
		for range 200 {
			s := &script{openings: []opening{{refuse: bus.NoResponder}}}
			calls(t, s, len(bounds)+1, durable.Policy{})
			for i, gap := range s.gaps() {
				waits[i] = append(waits[i], gap)
			}
		}
		for i, bound := range bounds {
			spread(t, "after failure", waits[i], bound)
		}
	})
}

func TestFailuresAreCountedFromTheLastConnected(t *testing.T) {
	long := opening{lasts: time.Second, end: bus.Gone}
	short := opening{lasts: time.Second - 1, end: bus.Gone}
	fail := opening{refuse: bus.NoResponder}
	for _, tt := range []struct {
		name     string
		openings []opening
		want     []int
	}{
		{"failures add up", []opening{fail, fail, fail, long}, []int{1, 2, 3}},
		{"a stream that lasted a second starts anew", []opening{fail, fail, long, fail, long, long}, []int{1, 2, 1, 2, 1}},
		{"the first loss is the first failure", []opening{short, fail, fail, long}, []int{1, 2, 3}},
		{"streams that come and go add up", []opening{short, short, short, long, short, short, long}, []int{1, 2, 3, 1, 2, 3}},
		{"failures before Connected do not", []opening{fail, fail, fail, short, short, fail, short, long}, []int{1, 2, 3, 1, 2, 3, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []int
				s := &script{openings: tt.openings}
				calls(t, s, len(tt.openings), recording(&got))
				if !slices.Equal(got, tt.want) {
					t.Errorf("waited for %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// One of several responders may be cut off: others are asked soon, but all of
// them no faster and faster.
func TestOfTwoAttemptsWithoutAnAnswerTheFirstIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns []int
		s := &script{openings: []opening{{refuse: bus.NoAnswer}}}
		calls(t, s, 7, recording(&ns))
		if want := []int{1, 2, 3}; !slices.Equal(ns, want) {
			t.Errorf("waited for %v, want %v", ns, want)
		}
		for i, gap := range s.gaps() {
			if soon := i%2 == 0; soon != (gap < 50*time.Millisecond) {
				t.Errorf("attempt %d came after %v", i+2, gap)
			}
		}
	})
}

func TestAnErrorThatARetryDoesNotMendWaitsLongest(t *testing.T) {
	for _, tt := range []struct {
		err     error
		longest bool
	}{
		{bus.NoResponder, false},
		{bus.Unserved, false},
		{bus.Busy, false},
		{bus.Draining, false},
		{bus.Disconnected, false},
		{bus.Gone, false},
		{bus.Failed, false},
		{bus.Panicked, false},
		{errors.New("unknown"), false},
		{&bus.Error{Code: bus.Failed, Err: &bus.Error{Code: bus.Invalid}}, false},
		{&bus.Error{Code: bus.Application}, true},
		{&bus.Error{Code: bus.Invalid}, true},
		{bus.Invalid, true},
		{bus.Unauthorized, true},
		{bus.Denied, true},
		{bus.TooLarge, true},
		{bus.Undecodable, true},
		{bus.Inconvertible, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var ns []int
			calls(t, &script{openings: []opening{{refuse: bus.Busy}, {refuse: tt.err}, {lasts: time.Hour}}}, 3, recording(&ns))
			if want := map[bool]int{false: 2, true: 8}[tt.longest]; ns[1] != want {
				t.Errorf("%v: waited for n = %d, want %d", tt.err, ns[1], want)
			}
			ns = nil // such an end of a stream says nothing of the next attempt
			calls(t, &script{openings: []opening{{refuse: bus.Busy}, {end: tt.err}, {lasts: time.Hour}}}, 3, recording(&ns))
			if n := ns[len(ns)-1]; n != 1 {
				t.Errorf("lost by %v: waited for n = %d", tt.err, n)
			}
		})
	}
}

// down is the error of a connection that is back after d.
func down(d time.Duration) *bus.Error {
	again := make(chan struct{})
	time.AfterFunc(d, func() { close(again) })
	return &bus.Error{Code: bus.Disconnected, Again: again}
}

func TestAgainEndsTheWaitWithinTheSpread(t *testing.T) {
	for _, tt := range []struct {
		name          string
		spread, bound time.Duration
	}{
		{"default", 0, 10 * time.Millisecond},
		{"of the policy", time.Minute, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var late []time.Duration
				for range 200 {
					s := &script{openings: []opening{{refuse: down(5 * time.Second)}, {}}}
					p := steady(time.Hour)
					p.Spread = tt.spread
					calls(t, s, 2, p)
					late = append(late, s.gaps()[0]-5*time.Second)
				}
				spread(t, "after Again", late, tt.bound)
			})
		})
	}
}

func TestAgainEndsALongOutageOfManyAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := down(time.Hour)
		start := time.Now()
		for ev := range durable.State(t.Context(), func(context.Context, string) (int, iter.Seq2[int, error], error) {
			select {
			case <-e.Again:
				return 1, nil, nil
			default:
				return 0, nil, e
			}
		}, "", durable.Policy{}) {
			if ev.Kind == durable.Connected {
				break
			}
		}
		if late := time.Since(start) - time.Hour; late < 0 || late >= 50*time.Millisecond {
			t.Errorf("connected %v after the connection was back", late)
		}
	})
}

func TestTheSpreadMakesNoWaitLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{refuse: down(5 * time.Millisecond)}, {}}}
		p := steady(10 * time.Millisecond)
		p.Spread = time.Hour
		calls(t, s, 2, p)
		if gap := s.gaps()[0]; gap > 10*time.Millisecond {
			t.Errorf("waited %v", gap)
		}
	})
}

func TestDrainingMovesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []opening{{refuse: bus.Draining}, {end: bus.Draining}, {end: &bus.Error{Code: bus.Draining}}} {
			s := &script{openings: []opening{o, {lasts: time.Hour}}}
			calls(t, s, 2, steady(time.Hour))
			if gap := s.gaps()[0]; gap != 0 {
				t.Errorf("waited %v", gap)
			}
		}
	})
}

func TestDrainingAgainAndAgainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []opening{{refuse: bus.Draining}, {end: bus.Draining}} {
			s := &script{openings: []opening{o}}
			calls(t, s, 4, steady(time.Hour))
			if want := []time.Duration{0, time.Hour, time.Hour}; !slices.Equal(s.gaps(), want) {
				t.Errorf("waited %v, want %v", s.gaps(), want)
			}
		}
	})
}

// Whatever a stream says as it goes, one that comes and goes for ever is not
// opened ever faster.
func TestAStreamThatComesAndGoesDoesNotSpin(t *testing.T) {
	broken := pair{0, &bus.Break{Err: bus.Gone}}
	for _, tt := range []struct {
		name    string
		opening func() opening // within the bubble
	}{
		{"gone", func() opening { return opening{end: bus.Gone} }},
		{"ended", func() opening { return opening{} }},
		{"ended after an update", func() opening { return opening{updates: []pair{{1, nil}}} }},
		{"draining", func() opening { return opening{end: bus.Draining} }},
		{"connection back", func() opening { return opening{end: down(0)} }},
		{"not resumed", func() opening { return opening{updates: []pair{broken}, end: bus.Lost} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				s := &script{openings: []opening{tt.opening()}}
				for range durable.State(ctx, s.Func, "", durable.Policy{Resume: true}) {
				}
				// Waits of 5 s in the mean make 120; the first seven are shorter.
				if n := len(s.at); n > 300 {
					t.Errorf("%d attempts in ten minutes", n)
				}
			})
		})
	}
}
