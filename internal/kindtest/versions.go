// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

func versions(t *testing.T, dial Dial) {
	t.Run("the caller converts", func(t *testing.T) { callerConverts(t, dial) })
	t.Run("the responder converts", func(t *testing.T) { responderConverts(t, dial) })
	t.Run("both convert", func(t *testing.T) { bothConvert(t, dial) })
	t.Run("errors are converted too", func(t *testing.T) { errorsAreConverted(t, dial) })
	t.Run("a conversion that fails says so", func(t *testing.T) { conversionFails(t, dial) })
	t.Run("none in common", func(t *testing.T) { noneInCommon(t, dial) })
	t.Run("written out", func(t *testing.T) { writtenOut(t, dial) })
	t.Run("of every kind", func(t *testing.T) { everyKindConverts(t, dial) })
}

// serves answers with a state and updates, or with err in the query's place.
func serves[T any](first T, updates ...T) staterpc.Func[string, T, T] {
	return func(context.Context, string) (T, iter.Seq2[T, error], error) {
		return first, func(yield func(T, error) bool) {
			for _, u := range updates {
				if !yield(u, nil) {
					return
				}
			}
		}, nil
	}
}

// heardText is all that a reader saw of a state RPC, in a line.
func heardText[T any](t *testing.T, f staterpc.Func[string, T, T]) string {
	t.Helper()
	first, updates, err := f(within(t), "AAPL")
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprint(first, ":")
	for u, err := range updates {
		switch {
		case bus.IsElement(err):
			line += " error"
		case err != nil:
			line += " " + err.Error()
		default:
			line += fmt.Sprint(" ", u)
		}
	}
	return line
}

func callerConverts(t *testing.T, dial Dial) {
	first := prices1.Handler(serves(100, 100, 0, -5, 2000, 300))
	second := prices2.Handler(serves(cents{200}, cents{100}, cents{-5}))
	var info bus.Info
	saw(t, "version 3 of 1", heardText(t, family3.Client(dial(t, first))), "1: 1 error 10 10 3")
	c := dial(t, first, second)
	saw(t, "version 3 of 2", heardText(t, family3.Client(c)), "2: 1 error")
	saw(t, "version 3 of 1, preferred", heardText(t, family3.Prefer(1).Client(c)), "1: 1 error 10 10 3")
	saw(t, "version 2 of 1", heardText(t, family2.Client(dial(t, first))), "{100}: {100} {0} {-5} {2000} {300}")
	if _, _, err := family3.Client(c)(bus.WithInfo(within(t), &info), ""); err != nil {
		t.Fatal(err)
	}
	saw(t, "version used", info.RPC, prices2.Describe())
}

func responderConverts(t *testing.T, dial Dial) {
	called := make(chan int, 20)
	c := dial(t, family3.Handlers(func(ctx context.Context, q string) (string, iter.Seq2[string, error], error) {
		called <- bus.IncomingCall(ctx).RPC.Version
		return serves("1", "2", "many", "3")(ctx, q)
	})...)
	saw(t, "version 1 of 3", heardText(t, prices1.Client(c)), "100: 200 error 300")
	saw(t, "version 2 of 3", heardText(t, prices2.Client(c)), "{100}: {200} error {300}")
	saw(t, "version 3 of 3", heardText(t, prices3.Client(c)), "1: 2 many 3")
	saw(t, "the family's version", heardText(t, family3.Client(c)), "1: 2 many 3")
	close(called)
	var versions []int
	for v := range called {
		versions = append(versions, v)
	}
	if !slices.Equal(slices.Compact(versions), []int{1, 2, 3}) { // one call may be several runs
		t.Errorf("versions called: %v", versions)
	}
}

// bothConvert has models 2 and 3 with nothing but version 1 in common.
func bothConvert(t *testing.T, dial Dial) {
	callee := versioned.New(versioned.Via(prices1, upFrom1, downTo1))
	caller := versioned.New(prices3, versioned.Via(callee, upFrom2, downTo2))
	c := dial(t, callee.Handlers(serves(cents{700}, cents{100}, cents{-1}, cents{300}))...)
	saw(t, "version 3 of 2", heardText(t, caller.Client(c)), "7: 1 error 3")
}

// errorsAreConverted has one at opening and one at the end of the updates.
func errorsAreConverted(t *testing.T, dial Dial) {
	impl := func(_ context.Context, q string) (string, iter.Seq2[string, error], error) {
		if q == "at opening" {
			return "", nil, fmt.Errorf("no price: %w", &halted{"AAPL"})
		}
		return "1", func(yield func(string, error) bool) { yield("", &halted{"AAPL"}) }, nil
	}
	responder := dial(t, family3.Handlers(impl)...)
	for _, q := range []string{"at opening", "at the end"} {
		one := whole(prices1.Client(responder))(within(t), q)
		failed(t, one, prices1.Describe(), bus.Application)
		if h, ok := errors.AsType[*haltedV1](one); !ok || h.S != "AAPL" {
			t.Errorf("%s: got %#v", q, one)
		}
		// A proxy that knows version 1 alone, before a caller of version 3.
		old := dial(t, prices1.Handler(prices1.Client(responder)))
		three := whole(family3.Client(old))(within(t), q)
		failed(t, three, prices1.Describe(), bus.Application)
		if h, ok := errors.AsType[*halted](three); !ok || h.Symbol != "AAPL" {
			t.Errorf("%s: got %#v", q, three)
		}
	}
}

// whole opens a stream, reads all of it and returns the error that ended it.
func whole[S, U any](f staterpc.Func[string, S, U]) func(context.Context, string) error {
	return func(ctx context.Context, q string) error {
		_, updates, err := f(ctx, q)
		if err != nil {
			return err
		}
		for _, err = range updates {
			if bus.EndsStream(err) {
				return err
			}
		}
		return nil
	}
}

func conversionFails(t *testing.T, dial Dial) {
	c := dial(t, prices2.Handler(serves(cents{100})))
	_, _, err := family3.Client(c)(within(t), "inconvertible")
	failed(t, err, prices2.Describe(), bus.Inconvertible, errNoQuery.Error())
	saw(t, "the conversion's error", errors.Is(err, errNoQuery), true)

	c = dial(t, family3.Handlers(serves("many"))...)
	for _, v := range []bus.Description{prices1.Describe(), prices2.Describe()} {
		_, err := versionOf(c, v)(within(t))
		e := failed(t, err, v, bus.Inconvertible, "many")
		saw(t, "said by the responder", e.Instance != "", true)
	}
	c = dial(t, family3.Handlers(func(context.Context, string) (string, iter.Seq2[string, error], error) {
		return "", nil, bus.Unauthorized
	})...)
	for _, v := range []bus.Description{prices1.Describe(), prices2.Describe(), prices3.Describe()} {
		_, err := versionOf(c, v)(within(t))
		failed(t, err, v, bus.Unauthorized)
	}
}

// versionOf opens a version of the prices without types.
func versionOf(c bus.Caller, d bus.Description) func(context.Context) (bus.Reply, error) {
	return func(ctx context.Context) (bus.Reply, error) {
		return bus.Do(ctx, c, bus.Call{Description: d, Query: []byte(`""`), ContentType: bus.ContentTypeJSON})
	}
}

func noneInCommon(t *testing.T, dial Dial) {
	caller := versioned.New(prices3, versioned.Via(prices2, upFrom2, downTo2))
	_, _, err := caller.Client(dial(t, prices1.Handler(serves(1))))(within(t), "")
	failed(t, err, bus.Description{Name: "laws.prices"}, bus.Unserved, "served: [1]", "called here: [3 2]")
	_, _, err = caller.Client(dial(t))(within(t), "")
	failed(t, err, bus.Description{Name: "laws.prices"}, bus.NoResponder)
}
