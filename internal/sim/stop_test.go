// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
)

// A pair is a caller and a responder that may be stopped.
type pair struct {
	near, far *conn
	client    *bus.Client
	server    *bus.Server
}

func newPair(t *testing.T, handlers ...bus.Handler) *pair {
	net := newNetwork(dice(1), 1, delays{least: 20 * time.Microsecond, most: 40 * time.Microsecond}, newTrace())
	p := &pair{near: net.dial("caller", 0, net.delay).(*conn), far: net.dial("responder", 0, net.delay).(*conn)}
	var err error
	if p.server, err = bus.Serve(p.far.nc, bus.Service{AnyConn: true}, handlers...); err != nil {
		t.Fatal(err)
	}
	p.client = bus.NewClient(p.near.nc, bus.ClientOptions{AnyConn: true})
	t.Cleanup(func() {
		if err := p.client.Close(); err != nil {
			t.Error(err)
		}
		if err := p.server.Close(); err != nil {
			t.Error(err)
		}
		p.near.kill()
		p.far.kill()
	})
	return p
}

// Its tick comes before what has come meanwhile, or after it.
func TestACallerThatWasStoppedFindsTheAnswerThatCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, addRPC.Handler(func(_ context.Context, q query) (answer, error) { return answer{Call: q.Call}, nil }))
		for n := range uint64(20) {
			began := time.Now()
			time.AfterFunc(30*time.Microsecond, func() { p.near.stop(began.Add(3 * time.Second)) })
			a, err := addRPC.Client(p.client)(t.Context(), query{Call: n})
			if err != nil || a.Call != n {
				t.Errorf("call %d: %+v, %v", n, a, err)
			}
			if took := time.Since(began); took < 3*time.Second || took > 3*time.Second+10*time.Millisecond {
				t.Errorf("call %d took %v", n, took)
			}
		}
	})
}

// The responder has heard of its caller for the last time a second before.
func TestAResponderThatWasStoppedForLessThanSilenceKeepsItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		news := make(chan int)
		p := newPair(t, feedRPC.Handler(func(ctx context.Context, _ int) (iter.Seq2[change, error], error) {
			return func(yield func(change, error) bool) {
				for {
					select {
					case n := <-news:
						if !yield(change{N: uint64(n)}, nil) {
							return
						}
					case <-ctx.Done():
						return
					}
				}
			}, nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		updates, err := feedRPC.Client(p.client)(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		next, stop := iter.Pull2(updates)
		defer stop()
		defer cancel()
		for n := range 10 {
			time.Sleep(flow.BeatEvery - 50*time.Millisecond)
			select {
			case news <- n:
			case <-time.After(time.Second):
				t.Fatalf("nobody takes update %d", n)
			}
			if u, err, ok := next(); err != nil || !ok || u.N != uint64(n) {
				t.Fatalf("update %d: %+v, %v, %v", n, u, err, ok)
			}
			time.Sleep(time.Millisecond)
			p.far.stop(time.Now().Add(flow.DeadAfter - 700*time.Millisecond))
			time.Sleep(flow.DeadAfter - 700*time.Millisecond)
			time.Sleep(3 * flow.BeatEvery / 2)
		}
	})
}

func TestABrokerGivesUpWhoIsStoppedForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, addRPC.Handler(func(_ context.Context, q query) (answer, error) { return answer{Call: q.Call}, nil }))
		p.far.stop(time.Now().Add(time.Second))
		time.Sleep(500 * time.Millisecond)
		p.far.givenUp(0)
		_, err := addRPC.Client(p.client)(t.Context(), query{})
		if e, ok := err.(*bus.Error); !ok || e.Code != bus.NoResponder {
			t.Errorf("a call of one who was given up ended with %v", err)
		}
		time.Sleep(600 * time.Millisecond)
		if _, err := addRPC.Client(p.client)(t.Context(), query{}); err != nil {
			t.Errorf("when it went on: %v", err)
		}
	})
}
