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

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAStreamThatEndsIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{
			{updates: []pair{{10, nil}, {11, nil}}, end: bus.Gone},
			{updates: []pair{{20, nil}}},
			{lasts: time.Hour},
		}}
		want(t, first(t, 12, s.Func, durable.Policy{}),
			"Attempting", "Connected", "Snapshot 1", "Update 10", "Update 11", "Lost(durabus: gone)",
			"Attempting", "Connected", "Snapshot 2", "Update 20", "Lost(durable: the server ended the stream)",
			"Attempting")
	})
}

func TestEveryAttemptIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejection := &bus.Error{Code: bus.Application, Err: errors.New("halted")}
		s := &script{openings: []opening{{refuse: bus.NoResponder}, {refuse: rejection}, {refuse: bus.Busy}, {lasts: time.Hour}}}
		want(t, first(t, 9, s.Func, durable.Policy{}),
			"Attempting", "FailedToConnect(durabus: no responder)",
			"Attempting", "Rejected(application error)",
			"Attempting", "FailedToConnect(durabus: busy)",
			"Attempting", "Connected", "Snapshot 4")
	})
}

func TestAnApplicationErrorOfANestedCallIsNoRejection(t *testing.T) {
	nested := &bus.Error{Code: bus.Failed, Err: &bus.Error{Code: bus.Application}}
	s := &script{openings: []opening{{refuse: nested}}}
	want(t, first(t, 2, s.Func, durable.Policy{}), "Attempting", "FailedToConnect(failed)")
}

func TestAnUpdateThatWasNotConvertedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &bus.ElementError{Err: errors.New("no such currency")}
		s := &script{openings: []opening{{updates: []pair{{1, nil}, {0, bad}, {2, nil}}, lasts: time.Hour}}}
		want(t, first(t, 6, s.Func, durable.Policy{}),
			"Attempting", "Connected", "Snapshot 1", "Update 1",
			"Update(an update was not converted: no such currency)", "Update 2")
	})
}

func TestAPipeHasNoSnapshots(t *testing.T) {
	f := func(context.Context, string) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) { yield(1, nil) }, nil
	}
	var got []durable.Kind
	for ev := range durable.Pipe(t.Context(), f, "", durable.Policy{Final: always}) {
		got = append(got, ev.Kind)
	}
	if want := []durable.Kind{durable.Attempting, durable.Connected, durable.Update, durable.Lost}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func always(error) bool { return true }

func TestAFinalErrorEndsTheEvents(t *testing.T) {
	for _, tt := range []struct {
		name string
		opening
		last durable.Kind
	}{
		{"refused", opening{refuse: bus.Unauthorized}, durable.FailedToConnect},
		{"rejected", opening{refuse: &bus.Error{Code: bus.Application}}, durable.Rejected},
		{"lost", opening{end: bus.Gone}, durable.Lost},
		{"ended", opening{}, durable.Lost},
		{"broken", opening{updates: []pair{{0, &bus.Break{Err: bus.Gone}}}}, durable.Lost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{openings: []opening{tt.opening}}
			var last durable.Kind
			for ev := range durable.State(t.Context(), s.Func, "", durable.Policy{Final: always}) {
				last = ev.Kind
			}
			if last != tt.last || len(s.at) != 1 {
				t.Errorf("ended with %v after %d calls", last, len(s.at))
			}
		})
	}
}

func TestAnElementErrorIsNeverFinal(t *testing.T) {
	s := &script{openings: []opening{{updates: []pair{{0, &bus.ElementError{Err: errors.New("bad")}}, {1, nil}}}}}
	got := first(t, 5, s.Func, durable.Policy{Final: always})
	if got[len(got)-1] != "Update 1" {
		t.Errorf("got %q", got)
	}
}

func TestNoUpdatesAtAllIsAStreamThatEnded(t *testing.T) {
	f := func(context.Context, string) (int, iter.Seq2[int, error], error) { return 1, nil, nil }
	want(t, first(t, 4, f, durable.Policy{}), "Attempting", "Connected", "Snapshot 1", "Lost(durable: the server ended the stream)")
}

func TestInfoIsOfItsOwnConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var infos []*bus.Info
		describe := bus.Handler{
			Description: bus.Description{Name: "test.f", Version: 1, Kind: bus.Unary},
			Call:        func(context.Context, bus.Call) (bus.Reply, error) { return bus.Reply{}, nil },
		}
		f := func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			_, err := bus.Do(ctx, bus.Local(describe), bus.Call{Description: describe.Description})
			return 0, nil, err
		}
		for ev := range durable.State(t.Context(), f, "", durable.Policy{}) {
			if ev.Kind == durable.Connected {
				if infos = append(infos, ev.Info); len(infos) == 2 {
					break
				}
			} else if ev.Info != nil {
				t.Errorf("%v has Info", ev.Kind)
			}
		}
		if infos[0].RPC.Name != "test.f" || infos[0].CallID == infos[1].CallID {
			t.Errorf("got %+v, %+v", infos[0], infos[1])
		}
	})
}

func TestEachLoopFollowsAnew(t *testing.T) {
	s := &script{openings: []opening{{}}}
	events := durable.State(t.Context(), s.Func, "", durable.Policy{Final: always})
	for range 2 {
		var got []string
		for ev := range events {
			got = append(got, ev.Kind.String())
		}
		want(t, got, "Attempting", "Connected", "Snapshot", "Lost")
	}
	if len(s.at) != 2 {
		t.Errorf("%d calls", len(s.at))
	}
}

func TestNothingIsAskedBeforeTheLoop(t *testing.T) {
	s := &script{openings: []opening{{}}}
	durable.State(t.Context(), s.Func, "", durable.Policy{})
	if len(s.at) != 0 {
		t.Error("f was called")
	}
}

// The consumer may leave at every event; the context of the stream that was
// open then, and only that one, was in force until then.
func TestLeavingAtAnyEventReleasesTheStream(t *testing.T) {
	openings := []opening{
		{refuse: bus.Busy},
		{updates: []pair{{1, nil}, {0, &bus.Break{Err: bus.Gone}}, {0, &bus.Break{Info: &bus.Info{}}}, {2, nil}}, end: bus.Gone},
		{updates: []pair{{3, nil}}, lasts: time.Hour},
	}
	for n := 1; n <= 15; n++ {
		synctest.Test(t, func(t *testing.T) {
			s := &script{openings: openings}
			first(t, n, s.Func, durable.Policy{Resume: true})
			if s.open() != 0 {
				t.Errorf("after %d events %d streams are open", n, s.open())
			}
		})
	}
}

func TestAPanicInTheLoopReleasesTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{updates: []pair{{1, nil}}, lasts: time.Hour}}}
		func() {
			defer func() {
				if recover() != "mine" {
					t.Error("the panic did not pass")
				}
			}()
			for ev := range durable.State(t.Context(), s.Func, "", durable.Policy{}) {
				if ev.Kind == durable.Update {
					panic("mine")
				}
			}
		}()
		if s.open() != 0 {
			t.Error("the stream is open")
		}
	})
}

func TestTheEndOfTheContextIsPromptWhereverItComes(t *testing.T) {
	for _, tt := range []struct {
		name string
		opening
		last durable.Kind
	}{
		{"while opening", opening{takes: time.Hour}, durable.Attempting},
		{"in a stream", opening{lasts: time.Hour}, durable.Snapshot},
		{"between attempts", opening{refuse: bus.Busy}, durable.FailedToConnect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				s := &script{openings: []opening{tt.opening}}
				var last durable.Kind
				for ev := range durable.State(ctx, s.Func, "", steady(time.Hour)) {
					last = ev.Kind
				}
				if took := time.Since(start); took != time.Minute || last != tt.last {
					t.Errorf("ended after %v with %v", took, last)
				}
				if s.open() != 0 {
					t.Error("the stream is open")
				}
			})
		})
	}
}

func TestNoEventFollowsACancelInTheLoop(t *testing.T) {
	endless := func(context.Context, string) (int, iter.Seq2[int, error], error) {
		return 0, func(yield func(int, error) bool) {
			for yield(1, nil) { // whatever its context says
			}
		}, nil
	}
	for _, at := range []durable.Kind{durable.Attempting, durable.Connected, durable.Snapshot, durable.Update} {
		ctx, cancel := context.WithCancel(t.Context())
		for ev := range durable.State(ctx, endless, "", durable.Policy{}) {
			if ctx.Err() != nil {
				t.Fatalf("%v after the cancel at %v", ev.Kind, at)
			}
			if ev.Kind == at {
				cancel()
			}
		}
		cancel()
	}
}

func TestAContextThatIsDoneHasNoEvents(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for ev := range durable.State(ctx, (&script{}).Func, "", durable.Policy{}) {
		t.Errorf("got %v", ev.Kind)
	}
}

func TestChanEndsWithItsEvents(t *testing.T) {
	s := &script{openings: []opening{{updates: []pair{{1, nil}, {2, nil}}}}}
	var got []string
	for ev := range durable.Chan(t.Context(), durable.State(t.Context(), s.Func, "", durable.Policy{Final: always})) {
		got = append(got, ev.Kind.String())
	}
	want(t, got, "Attempting", "Connected", "Snapshot", "Update", "Update", "Lost")
}

func TestChanIsClosedWhenItsContextIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &script{openings: []opening{{updates: []pair{{1, nil}}, lasts: time.Hour}}}
		events := durable.Chan(ctx, durable.State(ctx, s.Func, "", durable.Policy{}))
		<-events
		cancel() // while Connected waits to be read
		for range events {
		}
		if s.open() != 0 {
			t.Error("the stream is open")
		}
	})
}

func TestChanEndsWithItsContextWhateverTheEventsDo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	events := durable.Chan(ctx, func(yield func(event) bool) {
		for yield(event{Kind: durable.Update}) {
		}
	})
	<-events
	cancel()
	for range events {
	}
}

func TestKindsHaveNames(t *testing.T) {
	if durable.Attempting.String() != "Attempting" || durable.Resumed.String() != "Resumed" || durable.Kind(99).String() != "unknown" {
		t.Error(durable.Attempting, durable.Resumed, durable.Kind(99))
	}
}
