// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"iter"
	"testing"

	"github.com/durabus/durabus/durable"
)

type (
	wide  struct{ Bid, Ask, Size, Sequence int64 }
	wides = iter.Seq2[wide, error]
)

// counted yields n updates.
func counted(n int) wides {
	return func(yield func(wide, error) bool) {
		for i := range n {
			if !yield(wide{Sequence: int64(i)}, nil) {
				return
			}
		}
	}
}

func followCounted(ctx context.Context, n int) (sum int64) {
	f := func(context.Context, int) (wide, wides, error) { return wide{}, counted(n), nil }
	for ev := range durable.State(ctx, f, 0, durable.Policy{Final: always}) {
		if ev.Kind == durable.Update {
			sum += ev.Update.Sequence
		}
	}
	return sum
}

func TestAnUpdateAllocatesNothing(t *testing.T) {
	few := testing.AllocsPerRun(100, func() { followCounted(t.Context(), 1) })
	many := testing.AllocsPerRun(100, func() { followCounted(t.Context(), 1001) })
	if many != few {
		t.Errorf("a stream of 1 update allocates %v times, one of 1001 %v times", few, many)
	}
}

var sink int64

// What an update costs beside the bare iterator.
func BenchmarkUpdate(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for u, err := range counted(b.N) {
			if err == nil {
				sink += u.Sequence
			}
		}
	})
	b.Run("durable", func(b *testing.B) {
		b.ReportAllocs()
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		sink += followCounted(ctx, b.N)
	})
}

// What an update costs that is folded into a replica.
func BenchmarkReplica(b *testing.B) {
	b.ReportAllocs()
	f := func(context.Context, int) (wide, wides, error) { return wide{}, counted(b.N), nil }
	last := func(_, u wide) wide { return u }
	<-durable.NewReplica(b.Context(), f, 0, last, durable.Policy{Final: always}).Done()
}

func BenchmarkIntactValue(b *testing.B) {
	b.ReportAllocs()
	v := durable.NewValue(durable.Recipe[int]{
		Create: func(context.Context) (int, error) { return 1, nil },
		Broken: func(int) bool { return false },
	})
	defer v.Close()
	for range b.N {
		n, _ := v.Get(b.Context())
		sink += int64(n)
	}
}
