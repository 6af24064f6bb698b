// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
)

var counts = piperpc.RPC[int, int]{Name: "laws.counts", Version: 1}

func streams(t *testing.T, dial Dial) {
	t.Run("arrive whole and in order", func(t *testing.T) { wholeAndInOrder(t, dial) })
	t.Run("of nil updates are empty", func(t *testing.T) { nilUpdates(t, dial) })
	t.Run("release their handler", func(t *testing.T) { handlerIsReleased(t, dial) })
	t.Run("are single-use", func(t *testing.T) { singleUse(t, dial) })
	t.Run("run beside each other", func(t *testing.T) { besideEachOther(t, dial) })
	t.Run("cut short do not look whole", func(t *testing.T) { cutShort(t, dial) })
}

// forever yields until its reader stops or ctx is done, and then ends as if that
// were its end.
func forever(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for ctx.Err() == nil && yield("again", nil) {
		}
	}
}

// upTo yields 1 to n.
func upTo(_ context.Context, n int) (iter.Seq2[int, error], error) {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i+1, nil) {
				return
			}
		}
	}, nil
}

func wholeAndInOrder(t *testing.T, dial Dial) {
	c := dial(t, counts.Handler(upTo))
	for _, n := range []int{0, 1, 5000} {
		updates, err := counts.Client(c)(within(t), n)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for u, err := range updates {
			if seen++; err != nil || u != seen {
				t.Fatalf("got %d, %v; want %d", u, err, seen)
			}
		}
		saw(t, "updates", seen, n)
	}
}

func nilUpdates(t *testing.T, dial Dial) {
	c := dial(t, counts.Handler(func(context.Context, int) (iter.Seq2[int, error], error) { return nil, nil }))
	updates, err := counts.Client(c)(within(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	for u, err := range updates {
		t.Errorf("got %v, %v", u, err)
	}
}

// handlerIsReleased leaves a stream in every way there is.
func handlerIsReleased(t *testing.T, dial Dial) {
	for name, leave := range map[string]func(cancel func(), updates iter.Seq2[string, error]){
		"by a break": func(_ func(), updates iter.Seq2[string, error]) {
			for range updates {
				break
			}
		},
		"by a break after cancelling": func(cancel func(), updates iter.Seq2[string, error]) {
			for range updates {
				cancel()
				break
			}
		},
		"by a panic": func(_ func(), updates iter.Seq2[string, error]) {
			defer func() { _ = recover() }()
			for range updates {
				panic("of the reader")
			}
		},
		"never looped over": func(cancel func(), _ iter.Seq2[string, error]) { cancel() },
		"by cancelling": func(cancel func(), updates iter.Seq2[string, error]) {
			for range updates {
				cancel()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var released runs
			c := dial(t, state().Handler(func(ctx context.Context, _ string) (string, iter.Seq2[string, error], error) {
				released.enter(ctx)
				return "", forever(ctx), nil
			}))
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			_, updates, err := state().Client(c)(ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			leave(cancel, updates)
			released.over(t)
		})
	}
	t.Run("at its end", func(t *testing.T) {
		for name, end := range map[string]error{"clean": nil, "error": errOther} {
			var released runs
			c := dial(t, state().Handler(func(ctx context.Context, _ string) (string, iter.Seq2[string, error], error) {
				released.enter(ctx)
				return "", func(yield func(string, error) bool) { yield("", end) }, nil
			}))
			_, updates, err := state().Client(c)(within(t), "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = last(updates)
			saw(t, name+" end is an error", err != nil, end != nil)
			released.over(t)
		}
	})
	t.Run("that rejected", func(t *testing.T) {
		var released runs
		c := dial(t, state().Handler(func(ctx context.Context, _ string) (string, iter.Seq2[string, error], error) {
			released.enter(ctx)
			return "", nil, errOther
		}))
		_, _, err := state().Client(c)(within(t), "")
		failed(t, err, state().Describe(), bus.Failed)
		released.over(t)
	})
}

func singleUse(t *testing.T, dial Dial) {
	c := dial(t, counts.Handler(upTo))
	updates, err := counts.Client(c)(within(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	for range updates {
		break
	}
	n := 0
	for _, err := range updates {
		failed(t, err, counts.Describe(), bus.Invalid, "open the stream again")
		n++
	}
	saw(t, "errors of the second loop", n, 1)
}

// besideEachOther reads three streams in turns, and calls between them.
func besideEachOther(t *testing.T, dial Dial) {
	c := dial(t, counts.Handler(upTo), unaryHandler(func(_ context.Context, q string) (string, error) { return q, nil }))
	var nexts []func() (int, error, bool)
	for range 3 {
		updates, err := counts.Client(c)(within(t), 100)
		if err != nil {
			t.Fatal(err)
		}
		next, stop := iter.Pull2(updates)
		defer stop()
		nexts = append(nexts, next)
	}
	for i := range 100 {
		for _, next := range nexts {
			if u, err, ok := next(); err != nil || !ok || u != i+1 {
				t.Fatalf("got %d, %v, %v; want %d", u, err, ok, i+1)
			}
		}
		if _, err := unaryClient(c)(within(t), "between"); err != nil {
			t.Fatal(err)
		}
	}
	for _, next := range nexts {
		if u, err, ok := next(); ok {
			t.Errorf("got %d, %v after the end", u, err)
		}
	}
}

// cutShort has a handler that takes the end of its context for its own end.
func cutShort(t *testing.T, dial Dial) {
	c := dial(t, state().Handler(func(ctx context.Context, _ string) (string, iter.Seq2[string, error], error) {
		return "", forever(ctx), nil
	}))
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	_, updates, err := state().Client(c)(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	var end error
	for _, err := range updates {
		cancel()
		end = err
	}
	failed(t, end, state().Describe(), bus.Canceled)
	saw(t, "canceled", errors.Is(end, context.Canceled), true)
}
