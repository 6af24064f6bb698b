// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

// The scenarios of the catalogue that have times in them; the others are in
// internal/parity/scenarios.
func TestScenariosOfClosing(t *testing.T) {
	for _, s := range []struct {
		name string
		run  func(*testing.T, fleet)
	}{
		{"S009 a client that is closed sends nothing", closedClient},
		{"S011 an open call of a client that closes names its RPC", clientCloses},
		{"S084 a stream ends with its client", streamOfClient},
		{"S187 a second close changes nothing", secondClose},
		{"S188 a call of 10 s ends when its server closes after 1 s", serverCloses},
		{"S190 S198 a drain waits for the call that is open and takes no other", drainWaits},
		{"S191 a drain of 1 s does not wait for a call of 10 s", drainIsShort},
		{"S193 S194 a drain of a minute waits for calls of 5 s and 10 s", drainIsLong},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.run(t, newFleet(t)) })
		})
	}
}

// sleepRPC is answered after the seconds that are its query.
var sleepRPC = unaryrpc.RPC[int, int]{Name: "sleep", Version: 1}

func sleeping() bus.Handler {
	return sleepRPC.Handler(func(ctx context.Context, seconds int) (int, error) {
		select {
		case <-time.After(time.Duration(seconds) * time.Second):
			return seconds, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	})
}

// sleep starts a call; what it ends with arrives.
func sleep(t *testing.T, c bus.Caller, seconds int) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := sleepRPC.Client(c)(t.Context(), seconds)
		ended <- err
	}()
	return ended
}

// drain starts a drain of at most limit.
func drain(t *testing.T, srv *bus.Server, limit time.Duration) <-chan error {
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		drained <- srv.Drain(ctx)
	}()
	return drained
}

func wantOpen(t *testing.T, what string, ended <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-ended:
		t.Errorf("%s is over already: %v", what, err)
	default:
	}
}

func wantEnd(t *testing.T, what string, ended <-chan error, want error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-ended:
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	default:
		t.Fatalf("%s is not over", what)
	}
}

func closedClient(t *testing.T, f fleet) {
	f.serve(bus.Service{}, sleeping())
	conn := f.net.Dial()
	c := bus.NewClientOn(conn, bus.ClientOptions{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := sleepRPC.Client(c)(t.Context(), 0)
	e, ok := errors.AsType[*bus.Error](err)
	if !ok || e.MayHaveRun || e.CallID != "" {
		t.Errorf("got %#v, want an error that nothing was sent", err)
	}
	if d := time.Since(start); d > 0 {
		t.Errorf("it took %v", d)
	}
}

func clientCloses(t *testing.T, f fleet) {
	f.serve(bus.Service{}, holding(nil))
	c := bus.NewClientOn(f.net.Dial(), bus.ClientOptions{})
	called := make(chan error, 1)
	go func() {
		_, err := heldRPC.Client(c)(t.Context(), 0)
		called <- err
	}()
	synctest.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-called; !errors.Is(err, bus.Canceled) || !strings.Contains(err.Error(), "held.v1") || !strings.Contains(err.Error(), "clos") {
		t.Errorf("got %v, want that closing the client cancelled held.v1", err)
	}
}

func streamOfClient(t *testing.T, f fleet) {
	f.serve(bus.Service{}, ticking())
	c := bus.NewClientOn(f.net.Dial(), bus.ClientOptions{})
	ended := make(chan error, 1)
	go func() { ended <- readTicks(t.Context(), c, 0) }()
	time.Sleep(time.Second)
	wantOpen(t, "the stream", ended)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wantEnd(t, "the stream", ended, bus.Canceled)
}

func secondClose(t *testing.T, f fleet) {
	srv, c := f.serve(bus.Service{}, sleeping()), f.client(bus.ClientOptions{})
	for range 2 {
		if err := errors.Join(c.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	}
}

func serverCloses(t *testing.T, f fleet) {
	srv, c := f.serve(bus.Service{}, sleeping()), f.client(bus.ClientOptions{})
	called := sleep(t, c, 10)
	time.Sleep(time.Second)
	wantOpen(t, "the call", called)
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(100 * time.Millisecond)
	wantEnd(t, "the call", called, bus.Draining)
}

func drainWaits(t *testing.T, f fleet) {
	srv, c := f.serve(bus.Service{}, sleeping()), f.client(bus.ClientOptions{})
	first := sleep(t, c, 10)
	time.Sleep(time.Second)
	drained := drain(t, srv, time.Minute)
	time.Sleep(5 * time.Second)
	wantOpen(t, "the drain", drained)
	second := sleep(t, c, 0)
	time.Sleep(time.Second)
	wantEnd(t, "the second call", second, bus.NoResponder)
	time.Sleep(4 * time.Second)
	wantEnd(t, "the first call", first, nil)
	wantEnd(t, "the drain", drained, nil)
}

func drainIsShort(t *testing.T, f fleet) {
	srv, c := f.serve(bus.Service{}, sleeping()), f.client(bus.ClientOptions{})
	called := sleep(t, c, 10)
	time.Sleep(time.Second)
	drained := drain(t, srv, time.Second)
	time.Sleep(500 * time.Millisecond)
	wantOpen(t, "the drain", drained)
	time.Sleep(600 * time.Millisecond)
	wantEnd(t, "the drain", drained, context.DeadlineExceeded)
	wantEnd(t, "the call", called, bus.Draining)
}

func drainIsLong(t *testing.T, f fleet) {
	srv, c := f.serve(bus.Service{}, sleeping()), f.client(bus.ClientOptions{})
	short, long := sleep(t, c, 5), sleep(t, c, 10)
	time.Sleep(time.Second)
	drained := drain(t, srv, time.Minute)
	time.Sleep(10 * time.Second)
	wantEnd(t, "the call of 5 s", short, nil)
	wantEnd(t, "the call of 10 s", long, nil)
	wantEnd(t, "the drain", drained, nil)
}
