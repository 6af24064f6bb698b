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
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/onewayrpc"
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
		// Survey, what is granted to callers, and quiet when they are refused.
		if took := drainTook(t, srv); took < 2500*time.Millisecond || took > 2600*time.Millisecond {
			t.Errorf("Drain took %v", took)
		}
		if err := <-gone; !errors.Is(err, bus.NoResponder) {
			t.Errorf("then a call: %v, want NoResponder", err)
		}
	})
}

// The moment in which the last responder leaves its queue may swallow a call. So
// callers who know no other version are made to stop before it.
func TestCallersWhomTheLastResponderTurnsAwaySendNothingUntilAnotherComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		srv := f.serve(bus.Service{}, naming("last"))
		c := f.client(bus.ClientOptions{})
		var sent time.Time // a request, last
		f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if m.Subject == "name.v1" {
				sent = time.Now()
			}
			return []transport.Msg{m}
		})
		answered, refused := 0, 0
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
				_, err := nameRPC.Client(c)(t.Context(), "")
				switch {
				case err == nil:
					answered++
				case errors.Is(err, bus.NoResponder):
					refused++
				default:
					t.Error(err)
				}
			}
		}()
		synctest.Wait()
		drainTook(t, srv)
		if quiet := time.Since(sent); quiet < 250*time.Millisecond {
			t.Errorf("a request came %v before the end", quiet)
		}
		gone := time.Now()
		time.Sleep(time.Minute)
		if sent.After(gone) {
			t.Error("requests were sent where nobody is")
		}
		f.serve(bus.Service{}, naming("next"))
		callFor(t, c, time.Second)
		stop()
		<-done
		if answered == 0 || refused == 0 {
			t.Errorf("%d calls were answered, %d refused", answered, refused)
		}
	})
}

// Nobody can be told that a one-way call was refused.
func TestTheLastResponderCarriesOutOneWayCallsToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		note := onewayrpc.RPC[int]{Name: "note", Version: 1}
		noted, sent := 0, 0
		srv := f.serve(bus.Service{}, note.Handler(func(context.Context, int) error { noted++; return nil }))
		send := note.Client(f.client(bus.ClientOptions{}))
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			drainTook(t, srv)
		}()
		for begin := time.Now(); time.Since(begin) < 2480*time.Millisecond; time.Sleep(20 * time.Millisecond) {
			if err := send(t.Context(), sent); err != nil {
				t.Error(err)
			}
			sent++
		}
		<-drained
		if noted != sent {
			t.Errorf("%d of %d calls were carried out", noted, sent)
		}
	})
}

// A responder may come just when the broker has said for the last time that there
// is none.
func TestACallIsMadeOnceMoreWhereTheMenuSaysThatItIsServed(t *testing.T) {
	for misses, want := range map[int]error{3: nil, 4: bus.Unserved} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			f.serve(bus.Service{}, naming("here"))
			missed := 0
			f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
				if m.Subject == "name.v1" && missed < misses {
					missed++
					m.Subject = "nobody.v1"
				}
				return []transport.Msg{m}
			})
			_, err := nameRPC.Client(f.client(bus.ClientOptions{}))(t.Context(), "")
			if !errors.Is(err, want) {
				t.Errorf("after %d misses: %v", misses, err)
			}
		})
	}
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
		called := make(chan struct{})
		go func() { // beside the question: that takes a second where nobody else answers
			defer close(called)
			callFor(t, c, 1500*time.Millisecond)
		}()
		for name, want := range map[string][]int{"name": nil, "tick": {1}} {
			if got, err := c.Served(t.Context(), name); !slices.Equal(got, want) || err != nil {
				t.Errorf("%s is served at %v, %v; want %v", name, got, err, want)
			}
		}
		<-called
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
