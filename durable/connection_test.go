// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/durable"
)

// The scenarios of persistent connections, in terms of what is durable here: a
// stream or a value. The connection itself is the business of the NATS client.

func TestS280AFailureThatPassesIsToldAndLoggedOnceAndThenItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{refuse: bus.Disconnected}, {lasts: time.Hour}}}
		want(t, first(t, 5, s.Func, steady(time.Second)),
			"Attempting", "FailedToConnect(durabus: disconnected)", "Attempting", "Connected", "Snapshot 2")
		again := &script{openings: s.openings}
		want(t, logged(t, again, 5, steady(time.Second)),
			`level=WARN event=FailedToConnect error="durabus: disconnected"`, `level=INFO rpc="" peer="" call=""`)
	})
}

func TestS281TenEqualRefusalsAreTenEventsAndOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusals := slices.Repeat([]opening{{refuse: bus.NoResponder}}, 10)
		s := &script{openings: append(refusals, opening{lasts: time.Hour})}
		var events []string
		for range 10 {
			events = append(events, "Attempting", "FailedToConnect(durabus: no responder)")
		}
		want(t, first(t, 23, s.Func, steady(time.Second)), append(events, "Attempting", "Connected", "Snapshot 11")...)
		want(t, logged(t, &script{openings: s.openings}, 23, steady(time.Second)),
			`level=WARN event=FailedToConnect error="durabus: no responder"`, `level=INFO rpc="" peer="" call=""`)
	})
}

func TestS283ALossIsToldOnceTheLoopIsDoneWithWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(prices.Handlers(live)...)
		start := time.Now()
		for ev := range durable.State(t.Context(), prices.Client(link), "A", durable.Policy{}) {
			took := time.Since(start)
			switch ev.Kind {
			case durable.Connected:
				time.AfterFunc(10*time.Second, link.Cut)
				time.Sleep(time.Minute)
			case durable.Lost:
				if took != time.Minute {
					t.Errorf("told after %v, want when the loop was done with Connected", took)
				}
				return
			}
		}
	})
}

func TestS284WhatIsClosedIsAnErrorAtOnceAndNotAWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newValue(t, (&workshop{}).recipe(true), false)
		v.Close()
		if _, err := v.Get(t.Context()); !errors.Is(err, durable.ErrClosed) {
			t.Errorf("a value: %v", err)
		}
		s := &script{openings: []opening{{refuse: bus.NoResponder}}}
		r := durable.NewReplica(t.Context(), s.Func, "", func(state, _ int) int { return state }, steady(time.Minute))
		r.Close()
		if err := r.Ready(t.Context()); !errors.Is(err, durable.ErrClosed) {
			t.Errorf("a replica: %v", err)
		}
	})
}

func TestS285WhoGivesUpDuringAnAttemptMakesNoOther(t *testing.T) {
	t.Run("S285 a value that is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			created, discarded := 0, 0
			v := durable.NewValue(durable.Recipe[int]{
				Create:  func(context.Context) (int, error) { created++; time.Sleep(time.Minute); return created, nil },
				Discard: func(int) { discarded++ },
			})
			waiters := make(chan error, 3)
			for range 3 {
				go func() {
					_, err := v.Get(t.Context())
					waiters <- err
				}()
			}
			time.Sleep(time.Second)
			v.Close()
			for range 3 {
				if err := <-waiters; !errors.Is(err, durable.ErrClosed) {
					t.Errorf("a waiter: %v", err)
				}
			}
			if created != 1 || discarded != 1 {
				t.Errorf("created %d, discarded %d; want 1, 1", created, discarded)
			}
		})
	})
	t.Run("S285 a stream whose error is final", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{openings: []opening{{takes: time.Second, refuse: bus.Denied}}}
			want(t, first(t, 99, s.Func, durable.Policy{Final: always}), "Attempting", "FailedToConnect(durabus: denied)")
			time.Sleep(time.Hour)
			if len(s.at) != 1 {
				t.Errorf("%d attempts", len(s.at))
			}
		})
	})
}

func TestS286AStreamWhoseLossIsFinalLivesOnAndIsNotOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{updates: []pair{{1, nil}}, lasts: time.Hour, end: bus.Gone}}}
		start := time.Now()
		want(t, first(t, 99, s.Func, durable.Policy{Final: always}),
			"Attempting", "Connected", "Snapshot 1", "Update 1", "Lost(durabus: gone)")
		if took := time.Since(start); took != time.Hour || len(s.at) != 1 {
			t.Errorf("%d attempts in %v", len(s.at), took)
		}
	})
}
