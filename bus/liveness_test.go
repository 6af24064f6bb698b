// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A pairing is a caller and a responder, each with a connection of its own to a
// simulated network.
type pairing struct {
	net       *transport.Net
	near, far *transport.SimConn // the caller's and the responder's
	client    *bus.Client
	srv       *bus.Server
	feed      chan int // what handlers of feedRPC yield next
	open      atomic.Int32
	released  chan time.Time // when a handler's context ended
}

var (
	feedRPC = piperpc.RPC[int, int]{Name: "feed", Version: 1}
	holdRPC = unaryrpc.RPC[int, int]{Name: "hold", Version: 1}
)

func newPairing(t *testing.T) *pairing {
	t.Helper()
	return newPairingOver(t, func(far *transport.SimConn) transport.Conn { return far })
}

// newPairingOver has the responder on what over makes of its connection.
func newPairingOver(t *testing.T, over func(*transport.SimConn) transport.Conn) *pairing {
	t.Helper()
	net := transport.NewNet(1)
	p := &pairing{net: net, near: net.Dial(), far: net.Dial(), feed: make(chan int), released: make(chan time.Time, 100)}
	var err error
	p.srv, err = bus.ServeOn(over(p.far), bus.Service{Name: "test"}, feedRPC.Handler(p.yield), holdRPC.Handler(p.hold))
	if err != nil {
		t.Fatal(err)
	}
	p.client = bus.NewClientOn(p.near, bus.ClientOptions{})
	t.Cleanup(func() {
		if err := errors.Join(p.client.Close(), p.srv.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// yield passes on what is fed to it.
func (p *pairing) yield(ctx context.Context, _ int) (iter.Seq2[int, error], error) {
	p.open.Add(1)
	return func(yield func(int, error) bool) {
		defer p.over()
		for {
			select {
			case n := <-p.feed:
				if !yield(n, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}, nil
}

// hold answers after 10 s.
func (p *pairing) hold(ctx context.Context, n int) (int, error) {
	p.open.Add(1)
	defer p.over()
	select {
	case <-time.After(10 * time.Second):
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *pairing) over() {
	p.open.Add(-1)
	p.released <- time.Now()
}

// release waits for the end of a handler, and returns when that was. Peers that
// live say so each second, for ever: who waits must have a limit.
func (p *pairing) release(t *testing.T) time.Time {
	t.Helper()
	select {
	case at := <-p.released:
		return at
	case <-time.After(time.Minute):
		t.Fatal("the handler goes on for a minute")
		return time.Time{}
	}
}

// An outcome is what a reader saw of a stream, or a call's error, and when.
type outcome struct {
	got []int
	err error
	at  time.Time
}

// read opens a stream and reads it to its end.
func (p *pairing) read(t *testing.T, ctx context.Context) <-chan outcome {
	t.Helper()
	updates, err := feedRPC.Client(p.client)(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan outcome, 1)
	go func() {
		var o outcome
		for u, err := range updates {
			if err != nil {
				o.err = err
				continue
			}
			o.got = append(o.got, u)
		}
		o.at = time.Now()
		end <- o
	}()
	return end
}

// call calls holdRPC.
func (p *pairing) call(ctx context.Context) <-chan outcome {
	end := make(chan outcome, 1)
	go func() {
		_, err := holdRPC.Client(p.client)(ctx, 0)
		end <- outcome{err: err, at: time.Now()}
	}()
	return end
}

// quiet gives a write to a caller that is gone its silence: nothing of it
// arrives, and nobody is told.
func quiet(c *transport.SimConn) { c.Freeze(true) }

// killed ends a process's connection, so that the broker says who is not there.
func killed(c *transport.SimConn) { c.Disconnect() }

// deaths are the ways for a peer to go, and how long the other may take to
// notice. Virtual time has no delays, so that the bounds hold to the tick.
var deaths = []struct {
	name  string
	die   func(*transport.SimConn)
	bound time.Duration
}{
	{"killed, as the broker says", killed, flow.UnheardBound},
	{"cut off without a word", quiet, flow.SilenceBound},
}

func TestACallerThatDiesReleasesItsStreamsAndCallsWithinTheBound(t *testing.T) {
	for _, death := range deaths {
		for phase := range 8 { // of the heartbeat
			t.Run(death.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPairing(t)
					const streams, calls = 5, 3
					for range streams {
						p.read(t, t.Context())
					}
					for range calls {
						p.call(t.Context())
					}
					time.Sleep(2*time.Second + time.Duration(phase)*170*time.Millisecond)
					if n := p.open.Load(); n != streams+calls {
						t.Fatalf("%d handlers run, want %d", n, streams+calls)
					}
					start := time.Now()
					death.die(p.near)
					for range streams + calls {
						if d := p.release(t).Sub(start); d > death.bound {
							t.Errorf("a handler was released after %v, want at most %v", d, death.bound)
						}
					}
				})
			})
		}
	}
}

func TestAResponderThatDiesEndsStreamsAndCallsWithGoneWithinTheBound(t *testing.T) {
	for _, death := range deaths {
		for phase := range 8 {
			t.Run(death.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPairing(t)
					var ends []<-chan outcome
					for range 5 {
						ends = append(ends, p.read(t, t.Context()))
					}
					for range 3 {
						ends = append(ends, p.call(t.Context()))
					}
					p.feed <- 7 // to one of them
					time.Sleep(2*time.Second + time.Duration(phase)*170*time.Millisecond)
					start := time.Now()
					death.die(p.far)
					for _, end := range ends {
						o := <-end
						if !errors.Is(o.err, bus.Gone) {
							t.Errorf("ended with %v, want %v", o.err, bus.Gone)
						}
						if d := o.at.Sub(start); d > death.bound {
							t.Errorf("ended after %v, want at most %v", d, death.bound)
						}
					}
				})
			})
		}
	}
}

func TestSilenceBeforeASignIsNoAnswerInTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		p.far.Freeze(true)
		start := time.Now()
		o := <-p.call(t.Context())
		if d := time.Since(start); !errors.Is(o.err, bus.NoAnswer) || d > 2*time.Second {
			t.Errorf("%v after %v", o.err, d)
		}
	})
}

// TestLatenessOfOurOwnIsNotThePeers drives the watch of a peer by hand, since
// a process in a bubble cannot be suspended.
func TestLatenessOfOurOwnIsNotThePeers(t *testing.T) {
	const s = time.Second
	type step struct {
		at   time.Duration
		what string
		want flow.Pulse
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"silence", []step{{s, "tick", flow.Beat}, {2 * s, "tick", flow.Beat}, {3 * s, "tick", flow.Beat}, {4 * s, "tick", flow.Beat}, {5 * s, "tick", flow.Dead}}},
		{"asleep past the peer's time", []step{{s, "tick", flow.Beat}, {9 * s, "tick", flow.Beat}, {10 * s, "tick", flow.Beat}, {10*s + 1, "heard", 0}, {15 * s, "tick", flow.Beat}}},
		{"asleep, and the peer is dead", []step{{9 * s, "tick", flow.Beat}, {10 * s, "tick", flow.Beat}, {11 * s, "tick", flow.Beat}, {12 * s, "tick", flow.Beat}, {13 * s, "tick", flow.Beat}, {14 * s, "tick", flow.Dead}}},
		{"unheard twice", []step{{s, "tick", flow.Beat}, {s, "unheard", flow.Quiet}, {s + flow.Tick, "tick", flow.Beat}, {s + flow.Tick, "unheard", flow.Dead}}},
		{"unheard often at a time", []step{{s, "tick", flow.Beat}, {s, "unheard", flow.Quiet}, {s, "unheard", flow.Quiet}, {s, "unheard", flow.Quiet}, {s + flow.Tick, "tick", flow.Beat}, {s + flow.Tick, "heard", 0}}},
		{"unheard, then heard", []step{{s, "unheard", flow.Quiet}, {s, "tick", flow.Beat}, {s, "heard", 0}, {2 * s, "unheard", flow.Quiet}, {2 * s, "tick", flow.Beat}, {2 * s, "unheard", flow.Dead}}},
		{"unheard while settling", []step{{s, "reconnected", 0}, {s, "unheard", flow.Quiet}, {2 * s, "unheard", flow.Quiet}, {2 * s, "tick", flow.Beat}, {3 * s, "unheard", flow.Quiet}, {3 * s, "tick", flow.Beat}, {4 * s, "unheard", flow.Quiet}, {4 * s, "tick", flow.Beat}, {4 * s, "unheard", flow.Dead}}},
		{"reconnected late", []step{{s, "tick", flow.Beat}, {2 * s, "tick", flow.Beat}, {3 * s, "tick", flow.Beat}, {4 * s, "tick", flow.Beat}, {5*s - 1, "reconnected", 0}, {5 * s, "tick", flow.Quiet}, {6 * s, "tick", flow.Beat}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := flow.NewLiveness(0)
			for i, st := range c.steps {
				var got flow.Pulse
				switch st.what {
				case "tick":
					got = l.Tick(st.at)
				case "unheard":
					got = l.Unheard(st.at)
				case "heard":
					l.Heard(st.at)
				case "reconnected":
					l.Reconnected(st.at)
				}
				if got != st.want {
					t.Fatalf("step %d, %s at %v: %v, want %v", i, st.what, st.at, got, st.want)
				}
			}
		})
	}
}
