// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

// callFor calls nameRPC every 20 ms for a time, and counts on every answer.
func callFor(t *testing.T, c *bus.Client, d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; time.Sleep(20 * time.Millisecond) {
		if _, err := nameRPC.Client(c)(t.Context(), ""); err != nil {
			t.Error(err)
		}
	}
}

func drainTook(t *testing.T, srv *bus.Server) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := srv.Drain(t.Context()); err != nil {
		t.Error("Drain:", err)
	}
	return time.Since(begin)
}

func TestTheLastResponderOfAVersionWaitsForItsCallersToGo(t *testing.T) {
	for name, tc := range map[string]struct{ calls, least, most time.Duration }{
		"there are none":      {0, 500 * time.Millisecond, 550 * time.Millisecond}, // survey and quiet
		"they go":             {time.Second, 1200 * time.Millisecond, 1300 * time.Millisecond},
		"they learn it early": {300 * time.Millisecond, 550 * time.Millisecond, 600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				srv := f.serve(bus.Service{}, naming("last"))
				c := f.client(bus.ClientOptions{})
				go callFor(t, c, tc.calls)
				synctest.Wait()
				if took := drainTook(t, srv); took < tc.least || took > tc.most {
					t.Errorf("Drain took %v, want %v to %v", took, tc.least, tc.most)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestTheLastResponderOfAVersionDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		srv := f.serve(bus.Service{}, naming("last"))
		c := f.client(bus.ClientOptions{})
		ctx, stop := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			var last error
			for ctx.Err() == nil {
				if _, last = nameRPC.Client(c)(t.Context(), ""); last == nil {
					time.Sleep(20 * time.Millisecond)
				} else {
					stop()
				}
			}
			gone <- last
		}()
		synctest.Wait()
		if took := drainTook(t, srv); took != 2250*time.Millisecond {
			t.Errorf("Drain took %v", took)
		}
		if err := <-gone; !errors.Is(err, bus.NoResponder) {
			t.Errorf("then a call: %v, want NoResponder", err)
		}
	})
}

// A responder waits for nothing where others serve all that it serves, at
// whatever versions they do that together.
func TestAResponderThatIsNotTheLastLeavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		second := unaryrpc.RPC[string, string]{Name: "name", Version: 2}
		echo := func(_ context.Context, s string) (string, error) { return s, nil }
		srv := f.serve(bus.Service{Prefix: "acme"}, naming("leaving"), second.Handler(echo))
		f.serve(bus.Service{Prefix: "acme"}, naming("staying"))
		f.serve(bus.Service{Prefix: "acme"}, second.Handler(echo))
		c := f.client(bus.ClientOptions{Prefix: "acme"})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				callFor(t, c, 20*time.Millisecond)
			}
		}()
		synctest.Wait()
		if took := drainTook(t, srv); took > 50*time.Millisecond {
			t.Errorf("Drain took %v", took)
		}
		stop()
		<-done
	})
}

func TestALeavingResponderIsOffTheMenuBeforeItStopsServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		srv := f.serve(bus.Service{}, naming("last"), ticking())
		f.serve(bus.Service{}, ticking())
		c := f.client(bus.ClientOptions{})
		drained := make(chan time.Duration)
		go func() { drained <- drainTook(t, srv) }()
		synctest.Wait()
		for name, want := range map[string][]int{"name": nil, "tick": {1}} {
			if got, err := c.Served(t.Context(), name); !slices.Equal(got, want) || err != nil {
				t.Errorf("%s is served at %v, %v; want %v", name, got, err, want)
			}
		}
		callFor(t, c, 100*time.Millisecond)
		<-drained
	})
}

// A call that one who leaves has not begun is carried out by another.
func TestACallRefusedBecauseTheResponderLeavesIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		refusals, calls := 0, 0
		srv := f.serve(bus.Service{}, nameRPC.Handler(func(context.Context, string) (string, error) {
			if calls++; calls <= refusals {
				return "", bus.Draining
			}
			return "answer", nil
		}))
		c := f.client(bus.ClientOptions{})
		for _, tc := range []struct {
			at       *bus.Client
			refusals int
			calls    int
			fails    bool
		}{
			{c, 0, 1, false},
			{c, 2, 3, false},
			{c, 5, 3, true},
			{c.WithInstance(srv.Instance()), 1, 1, true}, // there is no other
		} {
			calls, refusals = 0, tc.refusals
			_, err := nameRPC.Client(tc.at)(t.Context(), "")
			if calls != tc.calls || errors.Is(err, bus.Draining) != tc.fails {
				t.Errorf("%d refusals: %d calls, %v", tc.refusals, calls, err)
			}
		}
	})
}
