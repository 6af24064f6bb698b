// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

// What a stream that is taken up below durable says of it, in band.
var (
	broke   = pair{0, &bus.Break{Err: bus.Gone}}
	resumed = pair{0, &bus.Break{Info: &bus.Info{Instance: "b"}}}
)

func resuming(p durable.Policy) durable.Policy {
	p.Resume = true
	return p
}

func TestAStreamThatIsTakenUpIsResumed(t *testing.T) {
	s := &script{openings: []opening{{updates: []pair{{1, nil}, broke, resumed, {2, nil}}, end: bus.Gone}}}
	want(t, first(t, 9, s.Func, durable.Policy{Resume: true}),
		"Attempting", "Connected", "Snapshot 1", "Update 1",
		"Lost(durabus: gone)", "Attempting", "Resumed", "Update 2",
		"Lost(durabus: gone)")
}

func TestResumedSaysByWhom(t *testing.T) {
	for _, tt := range []struct {
		pair
		want string
	}{{resumed, "b"}, {pair{0, &bus.Break{}}, ""}} {
		s := &script{openings: []opening{{updates: []pair{broke, tt.pair}}}}
		for ev := range durable.State(t.Context(), s.Func, "", durable.Policy{Resume: true}) {
			if ev.Kind == durable.Resumed {
				if ev.Info == nil || ev.Info.Instance != tt.want {
					t.Errorf("got %+v", ev.Info)
				}
				break
			}
		}
	}
}

func TestEveryAttemptToResumeIsAnEvent(t *testing.T) {
	s := &script{openings: []opening{{updates: []pair{broke, {0, &bus.Break{Err: bus.NoResponder}}, resumed, {1, nil}}}}}
	want(t, first(t, 9, s.Func, durable.Policy{Resume: true}),
		"Attempting", "Connected", "Snapshot 1",
		"Lost(durabus: gone)", "Attempting", "FailedToConnect(durabus: no responder)", "Attempting", "Resumed", "Update 1")
}

func TestWhatCannotBeResumedIsOpenedAnewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{updates: []pair{broke}, end: &bus.Error{Code: bus.Lost}}, {lasts: time.Hour}}}
		want(t, first(t, 7, s.Func, resuming(steady(time.Hour))),
			"Attempting", "Connected", "Snapshot 1",
			"Lost(durabus: gone)", "Attempting", "Connected", "Snapshot 2")
		if gap := s.gaps()[0]; gap != 0 {
			t.Errorf("waited %v", gap)
		}
	})
}

func TestAStreamThatGivesUpResumingFailedToConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns []int
		s := &script{openings: []opening{{lasts: 0, updates: []pair{broke}, end: bus.NoResponder}, {updates: []pair{broke}}, {}}}
		var got []string
		for ev := range durable.State(t.Context(), s.Func, "", resuming(recording(&ns))) {
			if got = append(got, short(ev)); len(got) == 12 {
				break
			}
		}
		want(t, got,
			"Attempting", "Connected", "Snapshot 1",
			"Lost(durabus: gone)", "Attempting", "FailedToConnect(durabus: no responder)",
			"Attempting", "Connected", "Snapshot 2",
			"Lost(durabus: gone)", "Attempting", "FailedToConnect(durable: the server ended the stream)")
		if want := []int{2}; !slices.Equal(ns, want) { // the loss, and the attempt to resume
			t.Errorf("waited for %v, want %v", ns, want)
		}
	})
}

func TestAnInterruptedStreamIsFetchedAnewUnlessResumingWasChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{updates: []pair{{1, nil}, broke, resumed, {2, nil}}}, {updates: []pair{{3, nil}}}}}
		want(t, first(t, 8, s.Func, durable.Policy{}),
			"Attempting", "Connected", "Snapshot 1", "Update 1", "Lost(durabus: gone)", "Attempting", "Connected", "Snapshot 2")
	})
}
