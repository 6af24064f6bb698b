// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/durable"
)

// takeOrFail returns the first n events after a first attempt that succeeded.
func takeOrFail(t *testing.T, n int, s *script, p durable.Policy) (got []string) {
	t.Helper()
	events, err := durable.StateOrFail(t.Context(), s.Func, "", p)
	if err != nil {
		t.Fatal(err)
	}
	for ev := range events {
		if got = append(got, short(ev)); len(got) == n {
			break
		}
	}
	return got
}

func TestOrFailMakesTheFirstAttemptBeforeItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{takes: time.Minute, lasts: time.Hour}}}
		events, err := durable.StateOrFail(t.Context(), s.Func, "", durable.Policy{})
		if err != nil || len(s.streams) != 1 {
			t.Fatalf("%d streams, error %v", len(s.streams), err)
		}
		for ev := range events {
			if ev.Kind == durable.Snapshot {
				break
			}
		}
		if len(s.at) != 1 {
			t.Errorf("%d calls: the stream that was open was not used", len(s.at))
		}
		if s.open() != 0 {
			t.Error("the stream is open after the loop")
		}
	})
}

func TestOrFailReturnsTheErrorOfTheFirstAttempt(t *testing.T) {
	for _, err := range []error{bus.NoResponder, &bus.Error{Code: bus.Application, Err: &halted{"A"}}} {
		s := &script{openings: []opening{{refuse: err}}}
		events, got := durable.StateOrFail(t.Context(), s.Func, "", durable.Policy{})
		if got != err || events != nil || len(s.at) != 1 {
			t.Errorf("got %v after %d calls, want %v after 1", got, len(s.at), err)
		}
	}
}

// S273: what create_or_fail returned behaves as create once the stream is lost.
func TestS273OrFailGoesOnAsStateDoesOnceTheStreamIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{updates: []pair{{10, nil}}, end: bus.Gone}, {refuse: bus.Busy}, {lasts: time.Hour}}}
		want(t, takeOrFail(t, 10, s, steady(time.Minute)),
			"Attempting", "Connected", "Snapshot 1", "Update 10", "Lost(durabus: gone)",
			"Attempting", "FailedToConnect(durabus: busy)", "Attempting", "Connected", "Snapshot 3")
		if want := []time.Duration{time.Minute, time.Minute}; !slices.Equal(s.gaps(), want) {
			t.Errorf("waited %v, want %v", s.gaps(), want)
		}
	})
}

func TestAStreamThatNobodyLoopsOverIsOpenUntilItsContextIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &script{openings: []opening{{lasts: time.Hour}}}
		events, err := durable.StateOrFail(ctx, s.Func, "", durable.Policy{})
		if err != nil || s.open() != 1 {
			t.Fatalf("%d streams, error %v", s.open(), err)
		}
		cancel()
		if s.open() != 0 {
			t.Error("the stream is open")
		}
		for ev := range events {
			t.Errorf("got %v", ev.Kind)
		}
	})
}

func TestLeavingAtAnyEventReleasesTheStreamOfTheFirstAttempt(t *testing.T) {
	for n := 1; n <= 5; n++ {
		synctest.Test(t, func(t *testing.T) {
			s := &script{openings: []opening{{updates: []pair{{1, nil}, {2, nil}}, lasts: time.Hour}}}
			if takeOrFail(t, n, s, durable.Policy{}); s.open() != 0 {
				t.Errorf("after %d events %d streams are open", n, s.open())
			}
		})
	}
}

func TestTheStreamOfTheFirstAttemptIsReleasedWhenItIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{end: bus.Gone}, {lasts: time.Hour}}}
		events, err := durable.StateOrFail(t.Context(), s.Func, "", durable.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		lost := false
		for ev := range events {
			if lost && ev.Kind == durable.Attempting {
				if s.open() != 0 {
					t.Error("the lost stream is open")
				}
				break
			}
			lost = ev.Kind == durable.Lost
		}
	})
}

func TestASecondLoopAfterOrFailFollowsAnew(t *testing.T) {
	s := &script{openings: []opening{{}}}
	events, err := durable.StateOrFail(t.Context(), s.Func, "", durable.Policy{Final: always})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		var got []string
		for ev := range events {
			got = append(got, short(ev))
		}
		want(t, got, "Attempting", "Connected", fmt.Sprintf("Snapshot %d", i+1), "Lost(durable: the server ended the stream)")
	}
}

func TestAPanicOfTheFirstAttemptLeavesNothing(t *testing.T) {
	var opened context.Context
	func() {
		defer func() {
			if recover() != "mine" {
				t.Error("the panic did not pass")
			}
		}()
		_, _ = durable.StateOrFail(t.Context(), func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			opened = ctx
			panic("mine")
		}, "", durable.Policy{})
	}()
	if opened.Err() == nil {
		t.Error("the context of the attempt is in force")
	}
}

// The same over a versioned family: the first attempt and every later one choose
// their version from what is served then.
func TestOrFailOverAFamilyChoosesTheVersionAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(pricesV1.Handler(downTo1(live)))
		if _, err := durable.StateOrFail(t.Context(), prices.Client(link), "GONE", durable.Policy{}); !isHalted(err, "GONE") {
			t.Errorf("got %v", err)
		}
		events, err := durable.StateOrFail(t.Context(), prices.Client(link), "A", steady(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(1500*time.Millisecond, func() { link.Drain(prices.Handlers(live)...) })
		want(t, told(events, 9),
			"0.0s Attempting", "0.0s Connected market.prices.v1", "0.0s Snapshot {15 15}", "1.0s Update {17 17}",
			"1.5s Lost draining",
			"1.5s Attempting", "1.5s Connected market.prices.v2", "1.5s Snapshot {10 20}", "2.5s Update {12 22}")
	})
}

func isHalted(err error, symbol string) bool {
	h, ok := errors.AsType[*halted](err)
	return ok && h.Symbol == symbol
}

// A pipe has the same events without Snapshots.
func TestPipeOrFailHasNoSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{updates: []pair{{10, nil}}, end: bus.Gone}, {lasts: time.Hour}}}
		events, err := durable.PipeOrFail(t.Context(), s.pipe, "", durable.Policy{})
		if err != nil || len(s.at) != 1 {
			t.Fatalf("%d calls, error %v", len(s.at), err)
		}
		var got []string
		for ev := range events {
			got = append(got, ev.Kind.String())
			if len(got) == 6 {
				break
			}
		}
		want(t, got, "Attempting", "Connected", "Update", "Lost", "Attempting", "Connected")

		refused := &script{openings: []opening{{refuse: bus.Denied}}}
		if _, err := durable.PipeOrFail(t.Context(), refused.pipe, "", durable.Policy{}); err != bus.Denied {
			t.Errorf("got %v", err)
		}
	})
}
