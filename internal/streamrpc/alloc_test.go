// SPDX-License-Identifier: Apache-2.0

//go:build !race

package streamrpc

import (
	"context"
	"iter"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
)

type trade struct {
	Symbol string
	Price  int
	Open   bool
}

// TestNoUpdateAllocatesForItsEncoding compares streams of two lengths. The race
// detector makes pools forget, so it is not for this test.
func TestNoUpdateAllocatesForItsEncoding(t *testing.T) {
	t.Run("bytes", func(t *testing.T) { costsNothing(t, []byte("forty-two bytes, or about as many as that.")) })
	t.Run("protobuf", func(t *testing.T) { costsNothing(t, wrapperspb.String("AAPL")) })
	t.Run("JSON", func(t *testing.T) { costsNothing(t, trade{"AAPL", 19_100, true}) })
}

func costsNothing[U any](t *testing.T, u U) {
	short, long := allocs(t, u, 10), allocs(t, u, 1010)
	if long-short > 1 { // a pool may be emptied meanwhile
		t.Errorf("10 updates cost %v allocations, 1010 cost %v", short, long)
	}
}

// allocs is the number of allocations of a stream of n updates, encoded as the
// engine does it.
func allocs[U any](tb testing.TB, u U, n int) float64 {
	call := handlerOf(u, n)
	buf := make([]byte, 0, 1024)
	return testing.AllocsPerRun(100, func() { encodeAll(tb, call, buf) })
}

func handlerOf[U any](u U, n int) bus.CallFunc {
	rpc := RPC[[]byte, struct{}, U]{Description: bus.Description{Name: "a.pipe", Version: 1, Kind: bus.Pipe}}
	return rpc.Handler(func(context.Context, []byte) (struct{}, iter.Seq2[U, error], error) {
		return struct{}{}, func(yield func(U, error) bool) {
			for range n {
				if !yield(u, nil) {
					return
				}
			}
		}, nil
	}).Call
}

func encodeAll(tb testing.TB, call bus.CallFunc, buf []byte) {
	reply, err := call(context.Background(), bus.Call{})
	if err != nil {
		tb.Fatal(err)
	}
	for e, err := range reply.Updates {
		if err != nil {
			tb.Fatal(err)
		}
		if _, err = e.Append(buf[:0]); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	b.Run("bytes", func(b *testing.B) { benchmark(b, []byte("forty-two bytes, or about as many as that.")) })
	b.Run("protobuf", func(b *testing.B) { benchmark(b, wrapperspb.String("AAPL")) })
	b.Run("JSON", func(b *testing.B) { benchmark(b, trade{"AAPL", 19_100, true}) })
}

func benchmark[U any](b *testing.B, u U) {
	b.ReportAllocs()
	encodeAll(b, handlerOf(u, b.N), make([]byte, 0, 1024))
}
