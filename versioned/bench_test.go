// SPDX-License-Identifier: Apache-2.0

package versioned

import (
	"context"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

// BenchmarkChoosing compares a call of one version with the same call through a
// family of three that chooses it, over Local and over a caller that costs
// nothing: the difference is the price of choosing.
func BenchmarkChoosing(b *testing.B) {
	family := New(three, two, Via(one, up, down))
	local := bus.Local(two.Handler(echo))
	for _, over := range []struct {
		name   string
		caller bus.Caller
	}{
		{"Local", local},
		{"nothing", silent{[]int{1, 2}}},
	} {
		for _, call := range []struct {
			name string
			f    v2
		}{
			{"plain", two.Client(over.caller)},
			{"chosen", family.Client(over.caller)},
		} {
			b.Run(over.name+"/"+call.name, func(b *testing.B) {
				b.ReportAllocs()
				ctx := b.Context()
				for b.Loop() {
					if _, err := call.f(ctx, "1"); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A tick is what a layer converts.
type (
	tick1  struct{ Price, Size int64 }
	tick2  struct{ Size, Price int64 }
	ticks1 = staterpc.Func[int, tick1, tick1]
)

// layered returns a source of n updates, behind as many layers as are asked for.
// A layer is what Via puts around a client: the conversion and the naming of its
// errors.
func layered(layers int) ticks1 {
	source := ticks1(func(_ context.Context, n int) (tick1, iter.Seq2[tick1, error], error) {
		return tick1{}, func(yield func(tick1, error) bool) {
			for i := range n {
				if !yield(tick1{int64(i), 1}, nil) {
					return
				}
			}
		}, nil
	})
	there := staterpc.Convert(count, swap1, swap1)
	back := staterpc.Convert(count, swap2, swap2)
	named := conversion(bus.Description{Name: "a.tick", Version: 1, Kind: bus.State})
	for range layers / 2 {
		source = back(there(source).MapErrors(named)).MapErrors(named)
	}
	return source
}

func count(n int) int     { return n }
func swap1(t tick1) tick2 { return tick2{t.Size, t.Price} }
func swap2(t tick2) tick1 { return tick1{t.Price, t.Size} }
func sum(f ticks1, n int) (all int64) {
	_, updates, _ := f(context.Background(), n)
	for t := range updates {
		all += t.Price
	}
	return all
}

// BenchmarkLayers reads updates through no layer, two and ten. Its ns/op are for
// one update: a tenth of what ten layers add is the price of one.
func BenchmarkLayers(b *testing.B) {
	for _, layers := range []struct {
		name string
		n    int
	}{{"0", 0}, {"2", 2}, {"10", 10}} {
		b.Run(layers.name, func(b *testing.B) {
			b.ReportAllocs()
			f := layered(layers.n)
			b.ResetTimer()
			sum(f, b.N)
		})
	}
}

func TestALayerAllocatesNothingForAnUpdate(t *testing.T) {
	for _, layers := range []int{2, 10} {
		f := layered(layers)
		few := testing.AllocsPerRun(100, func() { sum(f, 1) })
		many := testing.AllocsPerRun(100, func() { sum(f, 1000) })
		if many > few {
			t.Errorf("%d layers: %v allocations for 1 update, %v for 1000", layers, few, many)
		}
	}
}
