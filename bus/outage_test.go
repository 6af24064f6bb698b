// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

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
		if d := p.release(t).Sub(start); d > flow.SilenceBound {
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
		p.release(t)
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
		if d := p.release(t).Sub(start); d > flow.BeatEvery {
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
		if d := p.release(t).Sub(start); d > flow.BeatEvery+flow.Tick {
			t.Errorf("the handler was released %v after the reconnect", d)
		}
	})
}

func TestABreakIsToldAtOnceAndItsEndWhenNothingIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		ctx, cancel := context.WithCancel(bus.WithResume(t.Context(), bus.Resume{}))
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
		ctx, cancel := context.WithTimeout(bus.WithResume(t.Context(), bus.Resume{}), time.Minute)
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
		// The responder is back first with the updates, whose numbers alone prove
		// nothing yet; then with a heartbeat.
		time.AfterFunc(time.Second, func() {
			time.AfterFunc(100*time.Millisecond, func() { p.net.Tap(nil) })
			p.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
				if kind, _, _, _ := wire.Next(m.Data); from == p.far && kind == wire.KindBeat {
					return []transport.Msg{{Subject: "nobody"}}
				}
				return []transport.Msg{m}
			})
			p.near.Reconnect()
			p.far.Reconnect()
		})
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
		ctx := bus.WithResume(t.Context(), bus.Resume{})
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
