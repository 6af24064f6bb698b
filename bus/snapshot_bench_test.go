// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
)

// BenchmarkSnapshot tells what it costs to look at 1,000 idle streams, for each.
func BenchmarkSnapshot(b *testing.B) {
	const streams = 1000
	net := transport.NewNet(1)
	srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test"}, feedRPC.Handler(func(ctx context.Context, _ int) (iter.Seq2[int, error], error) {
		return func(func(int, error) bool) { <-ctx.Done() }, nil
	}))
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Close()
	client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
	defer client.Close()
	for range streams {
		if _, err := feedRPC.Client(client)(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
	}
	for name, look := range map[string]func() bus.Snapshot{"client": client.Snapshot, "server": srv.Snapshot} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := len(look().Streams); n != streams {
					b.Fatalf("%d streams", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams), "ns/stream")
		})
	}
}
