// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"bytes"
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// dial serves handlers on a simulated network and returns a client of them.
func dial(t *testing.T, handlers ...bus.Handler) *bus.Client {
	t.Helper()
	net := transport.NewNet(1)
	srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test"}, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error("closing the client:", err)
		}
		if err := srv.Close(); err != nil {
			t.Error("closing the server:", err)
		}
	})
	return client
}

func TestAUnaryCallIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double := unaryrpc.RPC[int, int]{Name: "double", Version: 1}
		f := double.Client(dial(t, double.Handler(func(_ context.Context, n int) (int, error) { return 2 * n, nil })))
		if got, err := f(t.Context(), 21); got != 42 || err != nil {
			t.Errorf("double(21) = %d, %v", got, err)
		}
	})
}

func TestManyUpdatesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200_000
		count := piperpc.RPC[int, int]{Name: "count", Version: 1}
		f := count.Client(dial(t, count.Handler(func(_ context.Context, n int) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				for i := range n {
					if !yield(i, nil) {
						return
					}
				}
			}, nil
		})))
		updates, err := f(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		next := 0
		for u, err := range updates {
			if err != nil || u != next {
				t.Fatalf("got %d, %v; want %d", u, err, next)
			}
			next++
		}
		if next != n {
			t.Errorf("%d updates, want %d", next, n)
		}
	})
}

func TestLongValuesTravelInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		echo := staterpc.RPC[[]byte, []byte, []byte]{Name: "echo", Version: 1}
		f := echo.Client(dial(t, echo.Handler(func(_ context.Context, b []byte) ([]byte, iter.Seq2[[]byte, error], error) {
			return b, func(yield func([]byte, error) bool) { _ = yield(b, nil) && yield(b[:3], nil) && yield(b, nil) }, nil
		})))
		long := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
		state, updates, err := f(t.Context(), long)
		if err != nil || !bytes.Equal(state, long) {
			t.Fatalf("state of %d bytes, %v", len(state), err)
		}
		var sizes []int
		for u, err := range updates {
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, len(u))
		}
		if len(sizes) != 3 || sizes[0] != len(long) || sizes[1] != 3 || sizes[2] != len(long) {
			t.Errorf("updates of %v bytes", sizes)
		}
	})
}

func TestALocalCallersStateIsItsOwn(t *testing.T) {
	rpc := staterpc.RPC[[]byte, []byte, []byte]{Name: "state", Version: 1}
	state := []byte("state")
	open := rpc.Client(bus.Local(rpc.Handler(func(context.Context, []byte) ([]byte, iter.Seq2[[]byte, error], error) {
		return state, nil, nil
	})))
	got, _, err := open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if clear(got); !bytes.Equal(state, []byte("state")) {
		t.Error("the caller has changed what is the handler's")
	}
}

func TestACallerThatDisappearsReleasesItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		ended := make(chan time.Time, 1)
		wait := unaryrpc.RPC[int, int]{Name: "wait", Version: 1}
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test"}, wait.Handler(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			ended <- time.Now()
			return 0, ctx.Err()
		}))
		if err != nil {
			t.Fatal(err)
		}
		conn := net.Dial()
		client := bus.NewClientOn(conn, bus.ClientOptions{})
		failed := make(chan error, 1)
		go func() {
			_, err := wait.Client(client)(t.Context(), 0)
			failed <- err
		}()
		time.Sleep(3 * time.Second)
		start := time.Now()
		conn.Freeze(true)
		if d := (<-ended).Sub(start); d > 6250*time.Millisecond {
			t.Errorf("the handler's context ended after %v", d)
		}
		t.Log(<-failed, time.Since(start))
		client.Close()
		srv.Close()
	})
}
