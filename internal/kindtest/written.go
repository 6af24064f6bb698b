// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// writtenOut has conversions that no Convert makes: of a unary RPC that need the
// query for the answer and may fail, of a pipe that need it too, fail, drop and
// split, and of a one-way RPC that drop, split and fail. States are in the market.
func writtenOut(t *testing.T, dial Dial) {
	t.Run("unary", func(t *testing.T) { unaryWrittenOut(t, dial) })
	t.Run("pipe", func(t *testing.T) { pipeWrittenOut(t, dial) })
	t.Run("one-way", func(t *testing.T) { oneWayWrittenOut(t, dial) })
}

var errBelow = errors.New("fewer than none")

// In version 1 an answer is a number, in version 2 it also names what was asked
// for.
var (
	count1 = unaryrpc.RPC[string, int]{Name: "laws.count", Version: 1}
	count2 = unaryrpc.RPC[string, string]{Name: "laws.count", Version: 2}

	lengths = versioned.New(count2, versioned.Via(count1,
		func(f unaryrpc.Func[string, int]) unaryrpc.Func[string, string] {
			return func(ctx context.Context, q string) (string, error) {
				n, err := f(ctx, q)
				if err != nil {
					return "", err
				}
				return named(q, n)
			}
		},
		func(f unaryrpc.Func[string, string]) unaryrpc.Func[string, int] {
			return func(ctx context.Context, q string) (int, error) {
				text, err := f(ctx, q)
				if err != nil {
					return 0, err
				}
				return unnamed(q, text)
			}
		}))
)

func named(q string, n int) (string, error) {
	if n < 0 {
		return "", errBelow
	}
	return fmt.Sprint(q, "=", n), nil
}

func unnamed(q, text string) (int, error) {
	number, ok := strings.CutPrefix(text, q+"=")
	if !ok {
		return 0, errNoQuery
	}
	return strconv.Atoi(number)
}

func unaryWrittenOut(t *testing.T, dial Dial) {
	sizes := func(_ context.Context, q string) (int, error) { return len(q) - 2, nil }
	texts := func(_ context.Context, q string) (string, error) { return strings.TrimPrefix(q, "!") + "=7", nil }
	young, old := dial(t, lengths.Handlers(texts)...), dial(t, count1.Handler(sizes))

	text, err := lengths.Client(old)(within(t), "pears")
	saw(t, "an answer of version 1", fmt.Sprint(text, err), "pears=3<nil>")
	_, err = lengths.Client(old)(within(t), "x")
	failed(t, err, count1.Describe(), bus.Inconvertible, errBelow.Error())

	n, err := count1.Client(young)(within(t), "pears")
	saw(t, "an answer of version 2", fmt.Sprint(n, err), "7 <nil>")
	_, err = count1.Client(young)(within(t), "!pears")
	failed(t, err, count1.Describe(), bus.Inconvertible, errNoQuery.Error())
}

var (
	parts1 = piperpc.RPC[string, int]{Name: "laws.parts", Version: 1}
	parts2 = piperpc.RPC[string, string]{Name: "laws.parts", Version: 2}

	// Upwards 0 falls away and what is beyond 9 becomes two; downwards - falls
	// away and what has a comma becomes two.
	parts = versioned.New(parts2, versioned.Via(parts1,
		func(f piperpc.Func[string, int]) piperpc.Func[string, string] {
			return func(ctx context.Context, q string) (iter.Seq2[string, error], error) {
				numbers, err := f(ctx, q)
				return piperpc.Split(numbers, func(n int, yield func(string) bool) error {
					switch {
					case n < 0:
						return errBelow
					case n > 9:
						_ = yield(fmt.Sprint(q, "=", n/2)) && yield(fmt.Sprint(q, "=", n-n/2))
					case n > 0:
						yield(fmt.Sprint(q, "=", n))
					}
					return nil
				}), err
			}
		},
		func(f piperpc.Func[string, string]) piperpc.Func[string, int] {
			return func(ctx context.Context, q string) (iter.Seq2[int, error], error) {
				texts, err := f(ctx, q)
				return piperpc.Split(texts, func(text string, yield func(int) bool) error {
					if text == "-" {
						return nil
					}
					for part := range strings.SplitSeq(text, ",") {
						n, err := unnamed(q, part)
						if err != nil || !yield(n) {
							return err
						}
					}
					return nil
				}), err
			}
		}))
)

func pipeWrittenOut(t *testing.T, dial Dial) {
	numbers := func(context.Context, string) (iter.Seq2[int, error], error) { return all(5, 0, 13, -1, 2), nil }
	texts := func(context.Context, string) (iter.Seq2[string, error], error) {
		return all("a=5", "-", "a=6,a=7", "b=1", "a=2"), nil
	}
	young, old := dial(t, parts.Handlers(texts)...), dial(t, parts1.Handler(numbers))
	saw(t, "updates of version 1", heardUpdates(t, parts.Client(old)), "a=5 a=6 a=7 error a=2")
	saw(t, "updates of version 2", heardUpdates(t, parts1.Client(young)), "5 6 7 error 2")
}

func all[T any](values ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func heardUpdates[T any](t *testing.T, f piperpc.Func[string, T]) string {
	t.Helper()
	updates, err := f(within(t), "a")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for u, err := range updates {
		switch {
		case bus.IsElement(err):
			words = append(words, "error")
		case err != nil:
			words = append(words, err.Error())
		default:
			words = append(words, fmt.Sprint(u))
		}
	}
	return strings.Join(words, " ")
}

// In version 1 a message is one order, in version 2 it is a list.
var (
	order1 = onewayrpc.RPC[int]{Name: "laws.order", Version: 1}
	order2 = onewayrpc.RPC[[]int]{Name: "laws.order", Version: 2}

	orders = versioned.New(order2, versioned.Via(order1,
		func(f onewayrpc.Func[int]) onewayrpc.Func[[]int] {
			return func(ctx context.Context, list []int) error {
				for _, n := range list {
					if n < 0 {
						return errBelow
					}
					if err := f(ctx, n); err != nil {
						return err
					}
				}
				return nil
			}
		},
		func(f onewayrpc.Func[[]int]) onewayrpc.Func[int] {
			return func(ctx context.Context, n int) error {
				if n < 0 {
					return errBelow
				}
				return f(ctx, []int{n})
			}
		}))
)

func oneWayWrittenOut(t *testing.T, dial Dial) {
	took := make(chan int, 9)
	old := dial(t, order1.Handler(func(_ context.Context, n int) error { took <- n; return nil }))
	send := orders.Client(old)
	for _, list := range [][]int{nil, {1, 2}} {
		if err := send(within(t), list); err != nil {
			t.Fatal(err)
		}
	}
	failed(t, send(within(t), []int{-1}), order1.Describe(), bus.Inconvertible, errBelow.Error())
	got := []int{await(t, took, "the first order"), await(t, took, "the second order")}
	slices.Sort(got) // handlers run side by side
	saw(t, "orders", fmt.Sprint(got), "[1 2]")

	young := dial(t, orders.Handlers(func(_ context.Context, list []int) error { took <- list[0]; return nil })...)
	for _, n := range []int{-1, 4} { // what the responder cannot convert it logs
		if err := order1.Client(young)(within(t), n); err != nil {
			t.Fatal(err)
		}
	}
	saw(t, "order", await(t, took, "the order"), 4)
}
