// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/staterpc"
)

func TestADrainLetsCallsFinishAndEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		letGo := make(chan struct{})
		srv := f.serve(bus.Service{}, holding(letGo), ticking())
		c := f.client(bus.ClientOptions{})
		called, streamed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := heldRPC.Client(c)(t.Context(), 0)
			called <- err
		}()
		go func() { streamed <- readTicks(t.Context(), c, 0) }()
		time.Sleep(time.Second)
		drained := make(chan error, 1)
		go func() { drained <- srv.Drain(t.Context()) }()
		if err := <-streamed; !errors.Is(err, bus.Draining) {
			t.Errorf("the stream: %v, want Draining", err)
		}
		time.Sleep(time.Minute)
		if _, err := tickRPC.Client(c)(t.Context(), 0); !errors.Is(err, bus.NoResponder) {
			t.Errorf("a new stream: %v, want NoResponder", err)
		}
		select {
		case err := <-drained:
			t.Fatal("Drain returned before the call:", err)
		default:
		}
		close(letGo)
		if err := <-called; err != nil {
			t.Error("the call:", err)
		}
		if err := <-drained; err != nil {
			t.Error("Drain:", err)
		}
	})
}

func TestADrainCutsShortWhatItsContextDoesNotWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		srv := f.serve(bus.Service{}, holding(nil))
		c := f.client(bus.ClientOptions{})
		called := make(chan error, 1)
		go func() {
			_, err := heldRPC.Client(c)(t.Context(), 0)
			called <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := srv.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain: %v, want that it was late", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("Drain took %v", d)
		}
		if err := <-called; !errors.Is(err, bus.Draining) {
			t.Errorf("the call: %v, want Draining", err)
		}
	})
}

// The verdict on a stream may come when the others have been told to leave.
func TestAStreamWhoseVerdictComesDuringADrainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		late := staterpc.RPC[int, int, int]{Name: "late", Version: 1}
		srv := f.serve(bus.Service{}, late.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[int, error], error) {
			time.Sleep(10 * time.Millisecond)
			return 0, func(func(int, error) bool) { <-ctx.Done() }, nil
		}))
		c := f.client(bus.ClientOptions{})
		streamed := make(chan error, 1)
		go func() {
			_, updates, err := late.Client(c)(t.Context(), 0)
			if err == nil {
				for _, err = range updates {
					continue
				}
			}
			streamed <- err
		}()
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := srv.Drain(ctx); err != nil {
			t.Error("Drain:", err)
		}
		if err := <-streamed; !errors.Is(err, bus.Draining) {
			t.Errorf("the stream: %v, want Draining", err)
		}
	})
}

func TestADrainUnderLoadFailsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		leaving := f.serve(bus.Service{}, naming("leaving"), ticking())
		f.serve(bus.Service{}, naming("staying"))
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		served := map[string]int{}
		var mu sync.Mutex
		for range 4 { // of 50 calls a second
			c := f.client(bus.ClientOptions{})
			wg.Go(func() {
				for ctx.Err() == nil {
					name, err := nameRPC.Client(c)(t.Context(), "")
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					served[name]++
					mu.Unlock()
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		streamed := make(chan error, 1)
		c := f.client(bus.ClientOptions{})
		go func() { streamed <- readTicks(t.Context(), c, 0) }()
		time.Sleep(10 * time.Second)
		if err := leaving.Drain(t.Context()); err != nil {
			t.Error("Drain:", err)
		}
		mu.Lock()
		before := served["leaving"]
		mu.Unlock()
		if err := <-streamed; !errors.Is(err, bus.Draining) {
			t.Errorf("the stream: %v, want Draining", err)
		}
		time.Sleep(10 * time.Second)
		stop()
		wg.Wait()
		if before < 500 || served["leaving"] != before || served["staying"] < 2500 {
			t.Errorf("served %v, %d of them before the drain was over", served, before)
		}
	})
}

// A busyConn takes its time for each request.
type busyConn struct{ *transport.SimConn }

func (c *busyConn) Subscribe(subject, queue string, f func(transport.Msg)) (transport.Subscription, error) {
	if queue == "" {
		return c.SimConn.Subscribe(subject, queue, f)
	}
	return c.SimConn.Subscribe(subject, queue, func(m transport.Msg) {
		time.Sleep(10 * time.Millisecond)
		f(m)
	})
}

func TestADrainServesTheRequestsThatCameBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		serve := func(conn transport.Conn) *bus.Server {
			srv, err := bus.ServeOn(conn, bus.Service{}, addRPC.Handler(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
			if err != nil {
				t.Fatal(err)
			}
			return srv
		}
		leaving, other := serve(&busyConn{net.Dial()}), serve(net.Dial())
		var calls sync.WaitGroup
		for range 40 { // of clients of their own, so that each is a message
			client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
			defer client.Close()
			calls.Go(func() {
				if n, err := addRPC.Client(client)(t.Context(), 1); n != 2 || err != nil {
					t.Errorf("answered %d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		if err := leaving.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		calls.Wait()
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAStreamWhoseHandlerIsStillAtItEndsWithTheDrain has a handler that takes its
// time, but not so much that its caller would have heard of it, begin its stream
// when the others have been told to go.
func TestAStreamWhoseHandlerIsStillAtItEndsWithTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		slow := tickRPC.Handler(func(ctx context.Context, _ int) (iter.Seq2[int, error], error) {
			time.Sleep(20 * time.Millisecond)
			return func(func(int, error) bool) { <-ctx.Done() }, nil
		})
		f.serve(bus.Service{}, slow) // so that the other need not wait for its callers
		leaving := f.serve(bus.Service{}, slow)
		c := f.client(bus.ClientOptions{}).WithInstance(leaving.Instance())
		streamed := make(chan error, 1)
		go func() { streamed <- readTicks(t.Context(), c, 0) }()
		time.Sleep(10 * time.Millisecond)
		if err := leaving.Drain(t.Context()); err != nil {
			t.Error("Drain:", err)
		}
		if err := <-streamed; !errors.Is(err, bus.Draining) {
			t.Errorf("the stream: %v, want Draining", err)
		}
	})
}

// TestWhoDrainsDoesNotSayAgainThatItServes has its drain begin just before it would
// repeat its first announcement, and the connection come back while it asks who else
// serves the same.
func TestWhoDrainsDoesNotSayAgainThatItServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		conn := f.net.Dial()
		srv, err := bus.ServeOn(conn, bus.Service{}, naming("x"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(900 * time.Millisecond)
		left, again := 0, 0
		f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			_, body, _, err := wire.Next(m.Data)
			var said wire.Served
			switch {
			case !strings.HasPrefix(m.Subject, "_D.a."):
			case err != nil || said.Parse(body) != nil:
				t.Error("no announcement:", m)
			case len(said.Versions) > 0:
				again++
			default:
				left++
			}
			return []transport.Msg{m}
		})
		go func() {
			time.Sleep(50 * time.Millisecond)
			conn.Disconnect()
			conn.Reconnect()
		}()
		if err := srv.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if f.net.Tap(nil); again > 0 || left != 4 {
			t.Errorf("it said %d times that it serves a name, and %d that it does not; want 4", again, left)
		}
	})
}

// An unflushed is a connection that keeps what is published until it is flushed, as
// one's own process may keep it when the program ends.
type unflushed struct {
	*transport.SimConn

	mu   sync.Mutex // guards the field below
	kept []string   // the subjects
}

func (c *unflushed) Publish(subject, reply string, data []byte) error {
	c.mu.Lock()
	c.kept = append(c.kept, subject)
	c.mu.Unlock()
	return c.SimConn.Publish(subject, reply, data)
}

func (c *unflushed) Flush(ctx context.Context) error {
	c.mu.Lock()
	c.kept = nil
	c.mu.Unlock()
	return c.SimConn.Flush(ctx)
}

// TestWhoHasDrainedMayExit has a shared stream, whose end is told behind all else, on
// a connection of its own.
func TestWhoHasDrainedMayExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		own, feeds := &unflushed{SimConn: f.net.Dial()}, &unflushed{SimConn: f.net.Dial()}
		nc, release := transport.StandIn(feeds)
		defer release()
		pub := staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 10)
		srv, err := bus.ServeOn(own, bus.Service{Feeds: nc}, sums.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			return pub.Watch(ctx)
		}).Shared())
		if err != nil {
			t.Fatal(err)
		}
		_, updates, err := sums.Client(f.client(bus.ClientOptions{}))(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		pub.Publish(1)
		if err := srv.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if len(own.kept)+len(feeds.kept) > 0 {
			t.Errorf("the broker may not have %v, and of feeds %v", own.kept, feeds.kept)
		}
		for _, err = range updates {
		}
		if !errors.Is(err, bus.Draining) {
			t.Errorf("the stream: %v", err)
		}
	})
}
