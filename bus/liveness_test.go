// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"slices"
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
	net := transport.NewNet(1)
	p := &pairing{net: net, near: net.Dial(), far: net.Dial(), feed: make(chan int), released: make(chan time.Time, 100)}
	var err error
	p.srv, err = bus.ServeOn(p.far, bus.Service{Name: "test"}, feedRPC.Handler(p.yield), holdRPC.Handler(p.hold))
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
						if d := (<-p.released).Sub(start); d > death.bound {
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

func TestPeersThatAllReconnectAtTheirOwnPaceKeepTheirStreams(t *testing.T) {
	for _, away := range []struct {
		name      string
		near, far time.Duration // how long each side has no connection
	}{
		{"a moment", time.Millisecond, time.Millisecond},
		{"the responder longer", 10 * time.Millisecond, 2900 * time.Millisecond},
		{"the caller longer", 2900 * time.Millisecond, 10 * time.Millisecond},
		{"both for as long as silence may last after a heartbeat", 3700 * time.Millisecond, 3700 * time.Millisecond},
		{"only the caller", 200 * time.Millisecond, 0},
		{"only the responder", 0, 200 * time.Millisecond},
	} {
		t.Run(away.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPairing(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				end := p.read(t, ctx)
				p.feed <- 1
				time.Sleep(time.Second)
				absent(p.near, away.near)
				absent(p.far, away.far)
				time.Sleep(20 * time.Second)
				select {
				case p.feed <- 2:
					synctest.Wait()
					cancel()
				case <-p.released:
				}
				if o := <-end; !errors.Is(o.err, bus.Canceled) || !slices.Equal(o.got, []int{1, 2}) {
					t.Errorf("got %v, then %v", o.got, o.err)
				}
			})
		})
	}
}

func TestUpdatesOfAnOutageArriveAllOrAreKnownToBeLost(t *testing.T) {
	for _, away := range []struct {
		name      string
		near, far time.Duration
		want      error
		got       []int
	}{
		{"the caller is back first", time.Second, 2 * time.Second, bus.Canceled, []int{1, 2, 3}},
		{"the responder is back first", 2 * time.Second, time.Second, bus.Lost, []int{1}},
		{"only the responder was away", 0, 200 * time.Millisecond, bus.Canceled, []int{1, 2, 3}},
		{"only the caller was away", 200 * time.Millisecond, 0, bus.Lost, []int{1}},
	} {
		t.Run(away.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPairing(t)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				end := p.read(t, ctx)
				p.feed <- 1
				time.Sleep(time.Second)
				absent(p.far, away.far)
				absent(p.near, away.near)
				p.feed <- 2
				p.feed <- 3
				time.AfterFunc(10*time.Second, cancel)
				if o := <-end; !errors.Is(o.err, away.want) || !slices.Equal(o.got, away.got) {
					t.Errorf("got %v, then %v; want %v, then %v", o.got, o.err, away.got, away.want)
				}
			})
		})
	}
}

// absent takes a connection away for a while.
func absent(c *transport.SimConn, d time.Duration) {
	if d == 0 {
		return
	}
	c.Disconnect()
	time.AfterFunc(d, c.Reconnect)
}

func TestAnOutageLongerThanSilenceMayLastEndsStreamsWithLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		end := p.read(t, t.Context())
		time.Sleep(time.Second)
		start := time.Now()
		p.near.Disconnect()
		p.far.Disconnect()
		o := <-end
		if d := o.at.Sub(start); !errors.Is(o.err, bus.Lost) || d > flow.SilenceBound {
			t.Errorf("%v after %v", o.err, d)
		}
		e, ok := errors.AsType[*bus.Error](o.err)
		if !ok || e.Again == nil {
			t.Fatalf("%v does not tell when to try again", o.err)
		}
		if d := (<-p.released).Sub(start); d > flow.SilenceBound {
			t.Errorf("the handler was released after %v", d)
		}
		p.far.Reconnect()
		p.near.Reconnect()
		<-e.Again
	})
}

func TestACallerThatReturnsTooLateLearnsAtOnceThatItsStreamsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		end := p.read(t, t.Context())
		time.Sleep(time.Second)
		p.near.Disconnect()
		<-p.released
		p.near.Reconnect()
		start := time.Now()
		if o := <-end; !errors.Is(o.err, bus.Lost) || o.at.Sub(start) > 0 {
			t.Errorf("%v after %v", o.err, o.at.Sub(start))
		}
	})
}

func TestFramesLostInAReconnectAreNeverPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		end := p.read(t, t.Context())
		p.feed <- 1
		synctest.Wait()
		p.near.Freeze(true) // what is under way when the connection breaks
		p.feed <- 2
		synctest.Wait()
		p.near.Disconnect()
		p.near.Freeze(false)
		p.near.Reconnect()
		start := time.Now()
		o := <-end
		if !errors.Is(o.err, bus.Lost) || len(o.got) != 1 || o.at.Sub(start) > 0 {
			t.Errorf("got %v, then %v after %v", o.got, o.err, o.at.Sub(start))
		}
	})
}

func TestACancellationInAnOutageReachesTheHandlerAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		ctx, cancel := context.WithCancel(t.Context())
		end := p.read(t, ctx)
		time.Sleep(time.Second)
		p.near.Disconnect()
		cancel()
		<-end
		p.near.Reconnect()
		start := time.Now()
		if d := (<-p.released).Sub(start); d > flow.BeatEvery {
			t.Errorf("released %v after the reconnect", d)
		}
	})
}

func TestACallCutOffBeforeItsFirstSignIsCanceledAfterTheReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		end := p.call(t.Context())
		synctest.Wait()
		p.near.Disconnect()
		o := <-end
		if e, ok := errors.AsType[*bus.Error](o.err); !ok || e.Code != bus.Disconnected || !e.MayHaveRun || e.Again == nil {
			t.Fatalf("ended with %v", o.err)
		}
		time.Sleep(100 * time.Millisecond)
		p.near.Reconnect()
		start := time.Now()
		if d := (<-p.released).Sub(start); d > flow.BeatEvery+flow.Tick {
			t.Errorf("the handler was released %v after the reconnect", d)
		}
	})
}

func TestABreakIsToldAtOnceAndItsEndWhenNothingIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		ctx, cancel := context.WithCancel(bus.WithResume(t.Context(), func(int) time.Duration { return 0 }))
		defer cancel()
		var info bus.Info
		updates, err := feedRPC.Client(p.client)(bus.WithInfo(ctx, &info), 0)
		if err != nil {
			t.Fatal(err)
		}
		next, stop := iter.Pull2(updates)
		defer stop()
		p.feed <- 1
		if u, _, _ := next(); u != 1 {
			t.Fatalf("got %d", u)
		}

		start := time.Now()
		p.near.Disconnect()
		_, err, _ = next()
		b, ok := errors.AsType[*bus.Break](err)
		if !ok || !errors.Is(b.Err, bus.Disconnected) || bus.EndsStream(err) || time.Since(start) > 0 {
			t.Fatalf("got %v after %v", err, time.Since(start))
		}
		p.feed <- 2 // unsent, or lost on its way
		time.AfterFunc(700*time.Millisecond, p.near.Reconnect)
		_, err, _ = next()
		b, ok = errors.AsType[*bus.Break](err)
		switch {
		case ok && b.Info != nil: // nothing was lost
			if b.Info.Instance != info.Instance || time.Since(start) != 700*time.Millisecond {
				t.Errorf("resumed by %v after %v", b.Info, time.Since(start))
			}
		case !errors.Is(err, bus.Lost) || time.Since(start) != 700*time.Millisecond:
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestWhatComesBeforeAStreamIsVerifiedFollowsTheEndOfItsBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		ctx, cancel := context.WithCancel(bus.WithResume(t.Context(), func(int) time.Duration { return 0 }))
		defer cancel()
		updates, err := feedRPC.Client(p.client)(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		next, stop := iter.Pull2(updates)
		defer stop()
		p.near.Disconnect()
		p.far.Disconnect()
		p.feed <- 1
		p.feed <- 2
		synctest.Wait()
		// The responder is back first with the update, whose number alone proves
		// nothing yet; then with its heartbeat.
		time.AfterFunc(time.Second, func() { p.near.Reconnect(); p.far.Reconnect() })
		var told []string
		for range 4 {
			u, err, _ := next()
			switch b, ok := errors.AsType[*bus.Break](err); {
			case err == nil:
				told = append(told, []string{"", "1", "2"}[u])
			case ok && b.Err != nil:
				told = append(told, "broken")
			case ok:
				told = append(told, "mended")
			default:
				told = append(told, err.Error())
			}
		}
		if want := [4]string{"broken", "mended", "1", "2"}; [4]string(told) != want {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestAHeartbeatFromBeforeABreakDoesNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		var stale []transport.Msg // all that the responder said in the first seconds
		p.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if from == p.far {
				stale = append(stale, m)
			}
			return []transport.Msg{m}
		})
		told := p.breaks(t, 1)
		time.Sleep(3 * time.Second)
		p.near.Disconnect()
		p.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if from == p.far {
				return nil
			}
			return []transport.Msg{m}
		})
		p.near.Reconnect()
		synctest.Wait()
		if len(stale) == 0 || len(told) != 1 {
			t.Fatalf("%d messages were seen, %d breaks told", len(stale), len(told))
		}
		echo := p.net.Dial()
		for _, m := range stale {
			if err := echo.PublishMsg(m); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(told) != 1 {
			t.Error("what was said before the disconnect counts as said after it")
		}
		p.net.Tap(nil)
		<-told
		if b := <-told; b.Info == nil {
			t.Errorf("told %v", b)
		}
	})
}

func TestManyStreamsAreVerifiedSoonThoughTheFirstHeartbeatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		const many = 100 // more than every heartbeat lists
		told := p.breaks(t, many)
		time.Sleep(3 * time.Second)
		start := time.Now()
		absent(p.near, 100*time.Millisecond)
		absent(p.far, 700*time.Millisecond)
		for range 2 * many {
			<-told
		}
		if d := time.Since(start); d > 700*time.Millisecond+flow.BeatEvery+flow.Tick {
			t.Errorf("the last stream was verified after %v", d)
		}
	})
}

// breaks opens streams and returns their Breaks.
func (p *pairing) breaks(t *testing.T, streams int) <-chan *bus.Break {
	t.Helper()
	told := make(chan *bus.Break, 2*streams)
	for range streams {
		ctx := bus.WithResume(t.Context(), func(int) time.Duration { return 0 })
		updates, err := feedRPC.Client(p.client)(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for _, err := range updates {
				if b, ok := errors.AsType[*bus.Break](err); ok {
					told <- b
				}
			}
		}()
	}
	return told
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
