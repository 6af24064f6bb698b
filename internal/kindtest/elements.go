// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

var errThird = errors.New("divisible by three")

// noThirds fails for multiples of three.
func noThirds(i int) (int, error) {
	if i%3 == 0 {
		return 0, fmt.Errorf("%d: %w", i, errThird)
	}
	return i, nil
}

func mapped(f piperpc.Func[int, int]) piperpc.Func[int, int] {
	return func(ctx context.Context, n int) (iter.Seq2[int, error], error) {
		updates, err := f(ctx, n)
		return piperpc.Map(updates, noThirds), err
	}
}

// heard is what a reader saw of a stream of numbers: 0 for an element's error.
func heard(t *testing.T, updates iter.Seq2[int, error]) (seen []int, end error) {
	for u, err := range updates {
		switch {
		case bus.EndsStream(err):
			end = err
		case err != nil:
			if _, ok := errors.AsType[*bus.ElementError](err); !ok || !strings.Contains(err.Error(), errThird.Error()) {
				t.Errorf("%v is not the element's error", err)
			}
			seen = append(seen, 0)
		default:
			seen = append(seen, u)
		}
	}
	return seen, end
}

// elements has errors that stand for one update, made by the responder and by
// the caller, and by both.
func elements(t *testing.T, dial Dial) {
	want := []int{1, 2, 0, 4, 5, 0, 7}
	for name, open := range map[string]piperpc.Func[int, int]{
		"of the responder": counts.Client(dial(t, counts.Handler(mapped(upTo)))),
		"of the caller":    mapped(counts.Client(dial(t, counts.Handler(upTo)))),
		"of both":          mapped(counts.Client(dial(t, counts.Handler(mapped(upTo))))),
	} {
		t.Run("errors "+name+" leave the stream open", func(t *testing.T) {
			updates, err := open(within(t), 7)
			if err != nil {
				t.Fatal(err)
			}
			seen, end := heard(t, updates)
			if !slices.Equal(seen, want) || end != nil {
				t.Errorf("got %v, %v; want %v", seen, end, want)
			}
		})
	}
	t.Run("errors end a strict stream", func(t *testing.T) { strictEnds(t, dial) })
}

func strictEnds(t *testing.T, dial Dial) {
	numbers := staterpc.RPC[int, int, int]{Name: "laws.strict", Version: 1}
	var released runs
	c := dial(t, numbers.Handler(func(ctx context.Context, n int) (int, iter.Seq2[int, error], error) {
		released.enter(ctx)
		updates, err := mapped(upTo)(ctx, n)
		return n, updates, err
	}))
	_, updates, err := staterpc.Strict(numbers.Client(c))(within(t), 7)
	if err != nil {
		t.Fatal(err)
	}
	seen, end := heard(t, updates)
	if !slices.Equal(seen, []int{1, 2}) || !errors.Is(end, bus.Lost) {
		t.Errorf("got %v, %v", seen, end)
	}
	released.over(t)
}
