// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	clock = bus.Description{Name: "test.clock", Version: 1, Kind: bus.Pipe}
	greet = bus.Description{Name: "test.greet", Version: 1, Kind: bus.Unary}
)

// ticking yields name every second, and sends the cause of its end to ended.
func ticking(name string, ended chan<- error) bus.Handler {
	return bus.Handler{Description: clock, Call: func(ctx context.Context, _ bus.Call) (bus.Reply, error) {
		return bus.Reply{Updates: func(yield func(bus.Element, error) bool) {
			defer func() { ended <- context.Cause(ctx) }()
			for more := true; more; {
				select {
				case <-time.After(time.Second):
					more = yield(bus.ElementOf([]byte(name)), nil)
				case <-ctx.Done():
					return
				}
			}
		}}, nil
	}}
}

// greeting answers with name after a while, or when its context is done.
func greeting(name string, after time.Duration) bus.Handler {
	return bus.Handler{Description: greet, Call: func(ctx context.Context, _ bus.Call) (bus.Reply, error) {
		select {
		case <-time.After(after):
			return bus.Reply{First: []byte(name)}, nil
		case <-ctx.Done():
			return bus.Reply{}, context.Cause(ctx)
		}
	}}
}

func call(t *testing.T, c bus.Caller, d bus.Description) (bus.Reply, error) {
	t.Helper()
	return c.Call(t.Context(), bus.Call{Description: d})
}

// read returns the updates of r and the error that ended them.
func read(t *testing.T, r bus.Reply) (got []string, last error) {
	t.Helper()
	for e, err := range r.Updates {
		if err != nil {
			return got, err
		}
		b, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	return got, nil
}

func wantError(t *testing.T, err error, code bus.Code, mayHaveRun bool) *bus.Error {
	t.Helper()
	e, ok := errors.AsType[*bus.Error](err)
	if !ok || e.Code != code || e.MayHaveRun != mayHaveRun {
		t.Fatalf("got %#v, want %v, MayHaveRun %v", err, code, mayHaveRun)
	}
	return e
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestACutEndsAStreamAtOnceAndReleasesItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		link := bustest.NewLink(ticking("a", ended))
		r, err := call(t, link, clock)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(2500*time.Millisecond, link.Cut)
		got, err := read(t, r)
		e := wantError(t, err, bus.Disconnected, true)
		if len(got) != 2 || time.Since(start) != 2500*time.Millisecond {
			t.Errorf("got %q after %v", got, time.Since(start))
		}
		if e.RPC != clock {
			t.Errorf("the error is of %v", e.RPC)
		}
		if cause := <-ended; cause != bus.Disconnected {
			t.Errorf("the handler's context ended with %v", cause)
		}
		if isClosed(e.Again) {
			t.Error("Again is closed before Heal")
		}
		link.Heal()
		if !isClosed(e.Again) {
			t.Error("Again is open after Heal")
		}
	})
}

func TestACutFailsACallInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(greeting("a", time.Hour))
		start := time.Now()
		time.AfterFunc(time.Second, link.Cut)
		_, err := call(t, link, greet)
		wantError(t, err, bus.Disconnected, true)
		if time.Since(start) != time.Second {
			t.Errorf("failed after %v", time.Since(start))
		}
	})
}

func TestAnAnswerThatMeetsTheCutIsLost(t *testing.T) {
	var link *bustest.Link
	link = bustest.NewLink(bus.Handler{Description: greet, Call: func(context.Context, bus.Call) (bus.Reply, error) {
		link.Cut()
		return bus.Reply{First: []byte("a")}, nil
	}})
	_, err := call(t, link, greet)
	wantError(t, err, bus.Disconnected, true)
}

func TestWhileTheLinkIsCutNoHandlerRuns(t *testing.T) {
	link := bustest.NewLink(bus.Handler{Description: greet, Call: func(context.Context, bus.Call) (bus.Reply, error) {
		t.Error("the handler ran")
		return bus.Reply{}, nil
	}})
	link.Cut()
	_, err := call(t, link, greet)
	e := wantError(t, err, bus.Disconnected, false)
	link.Cut() // again, which is nothing new
	_, err = link.Served(t.Context(), greet.Name)
	wantError(t, err, bus.Disconnected, false)
	if isClosed(e.Again) {
		t.Error("Again is closed before Heal")
	}
	link.Heal()
	link.Heal()
	if !isClosed(e.Again) {
		t.Error("Again is open after Heal")
	}
}

func TestEachOutageHasItsOwnAgain(t *testing.T) {
	link := bustest.NewLink(greeting("a", 0))
	link.Cut()
	link.Heal()
	link.Cut()
	_, err := call(t, link, greet)
	if e := wantError(t, err, bus.Disconnected, false); isClosed(e.Again) {
		t.Error("Again of the second outage is closed by the first Heal")
	}
}

func TestHealBringsNewHandlers(t *testing.T) {
	link := bustest.NewLink(greeting("old", 0))
	link.Cut()
	link.Heal(greeting("new", 0))
	r, err := call(t, link, greet)
	if err != nil || string(r.First) != "new" {
		t.Errorf("got %q, %v", r.First, err)
	}
	link.Cut()
	link.Heal()
	if r, err = call(t, link, greet); err != nil || string(r.First) != "new" {
		t.Errorf("after another Heal: got %q, %v", r.First, err)
	}
}

func TestHealOfALinkThatIsNotCutLeavesItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		link := bustest.NewLink(ticking("old", ended))
		r, err := call(t, link, clock)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(1500*time.Millisecond, func() { link.Heal(ticking("new", ended)) })
		time.AfterFunc(3500*time.Millisecond, link.Cut)
		got, err := read(t, r)
		wantError(t, err, bus.Disconnected, true)
		if len(got) != 3 || got[2] != "old" {
			t.Errorf("got %q", got)
		}
	})
}

func TestDrainEndsStreamsAndLetsCallsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		link := bustest.NewLink(ticking("old", ended), greeting("old", 2*time.Second))
		r, err := call(t, link, clock)
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan bus.Reply)
		go func() {
			r, err := call(t, link, greet)
			if err != nil {
				t.Error(err)
			}
			answer <- r
		}()
		time.AfterFunc(1500*time.Millisecond, func() { link.Drain(greeting("new", 0)) })
		got, err := read(t, r)
		e := wantError(t, err, bus.Draining, true)
		if len(got) != 1 || e.Instance == "" {
			t.Errorf("got %q, then %v", got, e)
		}
		if cause := <-ended; cause != bus.Draining {
			t.Errorf("the handler's context ended with %v", cause)
		}
		if r, err := call(t, link, greet); err != nil || string(r.First) != "new" {
			t.Errorf("a new call: %q, %v", r.First, err)
		}
		if r := <-answer; string(r.First) != "old" {
			t.Errorf("the call in progress: %q", r.First)
		}
	})
}

func TestACutReachesCallsThatADrainLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(greeting("old", time.Hour))
		time.AfterFunc(time.Second, func() { link.Drain() })
		time.AfterFunc(2*time.Second, link.Cut)
		_, err := call(t, link, greet)
		wantError(t, err, bus.Disconnected, true)
	})
}

func TestACutReachesStreamsOpenedAfterADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		link := bustest.NewLink(ticking("a", ended))
		link.Drain()
		r, err := call(t, link, clock)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second/2, link.Cut)
		_, err = read(t, r)
		wantError(t, err, bus.Disconnected, true)
	})
}

func TestABreakReleasesTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contexts := make(chan context.Context, 1)
		link := bustest.NewLink(bus.Handler{Description: clock, Call: func(ctx context.Context, _ bus.Call) (bus.Reply, error) {
			contexts <- ctx
			return bus.Reply{Updates: func(yield func(bus.Element, error) bool) { yield(bus.ElementOf(nil), nil) }}, nil
		}})
		r, err := call(t, link, clock)
		if err != nil {
			t.Fatal(err)
		}
		for range r.Updates {
			break
		}
		if (<-contexts).Err() == nil {
			t.Error("the handler's context is in force after the break")
		}
	})
}

func TestErrorsOfHandlersPassALinkThatHolds(t *testing.T) {
	link := bustest.NewLink(bus.Handler{Description: greet, Call: func(context.Context, bus.Call) (bus.Reply, error) {
		return bus.Reply{}, bus.Unauthorized
	}})
	_, err := call(t, link, greet)
	wantError(t, err, bus.Unauthorized, false)
	_, err = call(t, link, clock)
	wantError(t, err, bus.NoResponder, false)
	if vs, err := link.Served(t.Context(), greet.Name); err != nil || len(vs) != 1 {
		t.Errorf("served %v, %v", vs, err)
	}
	_, err = call(t, bustest.NewLink(bus.Handler{Description: greet}), greet)
	wantError(t, err, bus.Invalid, false)
}
