// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

var (
	loadsRPC  = piperpc.RPC[int, []byte]{Name: "test.loads", Version: 1}
	weightRPC = unaryrpc.RPC[[]byte, int]{Name: "test.weight", Version: 1}
)

// loads yields updates of a size, numbered by their first byte.
func loads(ctx context.Context, size int) (iter.Seq2[[]byte, error], error) {
	return func(yield func([]byte, error) bool) {
		b := make([]byte, size)
		for pace(ctx, 10*time.Millisecond); ctx.Err() == nil && yield(b, nil); b[0]++ {
			pace(ctx, 10*time.Millisecond)
		}
	}, nil
}

// A broker that is reconfigured to take less tells nobody, and ends the connection
// of whoever sends it more.
func TestABrokerThatTakesLessThanBeforeIsDialledAnew(t *testing.T) {
	for _, tt := range []struct {
		name           string
		most           int
		update, query  int // bytes
		caller, server bool
	}{
		{"as much as a message has at most", 256 << 10, 100 << 10, 600 << 10, false, false},
		{"less than an update", 8 << 10, 12 << 10, 100, false, true},
		{"less than a query", 8 << 10, 100, 30 << 10, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opts *server.Options
			b := broker.Run(t, broker.Options{Configure: func(o *server.Options) { opts = o.Clone() }})
			var dialled [2]atomic.Int64
			again := func(n *atomic.Int64) nats.Option { return nats.ReconnectHandler(func(*nats.Conn) { n.Add(1) }) }
			far, near := connect(t, b.URL(), again(&dialled[1])), connect(t, b.URL(), again(&dialled[0]))
			srv, err := bus.Serve(far, bus.Service{Name: "test"}, loadsRPC.Handler(loads),
				weightRPC.Handler(func(_ context.Context, b []byte) (int, error) { return len(b), nil }))
			if err != nil {
				t.Fatal(err)
			}
			c := bus.NewClient(near, bus.ClientOptions{})
			t.Cleanup(func() {
				if err := errors.Join(c.Close(), srv.Close()); err != nil {
					t.Error(err)
				}
			})
			lost := make(chan error, 1)
			open := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { lost <- readLoads(ctx, c, tt.update, func() { close(open) }) }()
			<-open

			opts.MaxPayload = int32(tt.most)
			if err := b.NATS().ReloadOptions(opts); err != nil {
				t.Fatal(err)
			}
			if tt.caller {
				_, err := weightRPC.Client(c)(t.Context(), make([]byte, tt.query))
				if !isCode(err, bus.Disconnected) && !isCode(err, bus.NoAnswer) {
					t.Errorf("the query that is too much: %v", err)
				}
			}
			broken := func(err error) bool { return isCode(err, bus.Lost) || isCode(err, bus.Disconnected) }
			if tt.server {
				if err := <-lost; !broken(err) {
					t.Errorf("the stream ended with %v", err)
				}
			}
			eventually(t, "calls and streams as before", func() bool {
				n, err := weightRPC.Client(c)(t.Context(), make([]byte, tt.query))
				return err == nil && n == tt.query && readLoads(t.Context(), c, tt.update, nil) == nil
			})
			cancel()
			if !tt.server { // the caller may have been away for so short that it missed nothing
				if err := <-lost; !errors.Is(err, context.Canceled) && !(tt.caller && broken(err)) {
					t.Errorf("the stream ended with %v", err)
				}
			}
			for i, want := range []bool{tt.caller, tt.server} {
				if n := dialled[i].Load(); (n > 0) != want {
					t.Errorf("connection %d was made again %d times", i, n)
				}
			}
		})
	}
}

// readLoads reads updates until they end, or ten of them if opened is nil, which is
// called at the tenth.
func readLoads(ctx context.Context, c bus.Caller, size int, opened func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates, err := loadsRPC.Client(c)(ctx, size)
	if err != nil {
		return err
	}
	n := 0
	for u, err := range updates {
		if err != nil {
			return err
		}
		if len(u) != size || u[0] != byte(n) {
			return errors.New("an update is missing and nobody said so")
		}
		if n++; n == 10 {
			if opened == nil {
				return nil
			}
			opened()
		}
	}
	return errors.New("the stream ended as if it were whole")
}
