// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

func pushing(t *testing.T, dial Dial) {
	t.Run("before and after the verdict", func(t *testing.T) { pushedUpdates(t, dial) })
	t.Run("then rejecting drops the updates", func(t *testing.T) { pushedAndRejected(t, dial) })
	t.Run("ends with its reader", func(t *testing.T) { pushedToNobody(t, dial) })
	t.Run("through a Publisher", func(t *testing.T) { published(t, dial) })
}

func pushedUpdates(t *testing.T, dial Dial) {
	for name, end := range map[string]error{"clean": nil, "error": &halted{"AAPL"}} {
		def := counts
		def.Errors = errorTypes
		c := dial(t, def.Handler(piperpc.Push(10, func(_ context.Context, n int, w *piperpc.Writer[int]) error {
			saw(t, "first update is sent", w.Send(1), true)
			go func() { // ends with its reader
				for i := 2; i <= n && w.Send(i); i++ {
				}
				w.Close(end)
			}()
			return nil
		})))
		updates, err := def.Client(c)(within(t), 1000)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var got error
		for u, err := range updates {
			if err != nil {
				got = err
				continue
			}
			if n++; u != n {
				t.Fatalf("got %d, want %d", u, n)
			}
		}
		saw(t, "updates", n, 1000)
		_, declared := errors.AsType[*halted](got)
		saw(t, name+" end is declared", declared, end != nil)
		saw(t, name+" end is an error", got != nil, end != nil)
	}
}

func pushedAndRejected(t *testing.T, dial Dial) {
	sent := make(chan bool, 1)
	c := dial(t, counts.Handler(piperpc.Push(10, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
		w.Send(1)
		go func(ctx context.Context) {
			for w.Send(2) {
			}
			sent <- false
		}(context.Background())
		return bus.Unauthorized
	})))
	updates, err := counts.Client(c)(within(t), 0)
	failed(t, err, counts.Describe(), bus.Unauthorized)
	if updates != nil {
		t.Error("a rejected stream has updates")
	}
	await(t, sent, "the end of sending")
}

func pushedToNobody(t *testing.T, dial Dial) {
	for name, leave := range map[string]func(cancel func(), updates iter.Seq2[int, error]){
		"break": func(_ func(), updates iter.Seq2[int, error]) {
			for range updates {
				break
			}
		},
		"cancel":       func(cancel func(), updates iter.Seq2[int, error]) { cancel(); heard(t, updates) },
		"never looped": func(cancel func(), _ iter.Seq2[int, error]) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			c := dial(t, counts.Handler(piperpc.Push(1, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
				go func() {
					defer close(ended)
					for w.Send(1) {
					}
				}()
				return nil
			})))
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			updates, err := counts.Client(c)(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			leave(cancel, updates)
			await(t, ended, "the end of sending")
		})
	}
}

// published checks that a watcher's state and updates fit together, whenever it
// joins.
func published(t *testing.T, dial Dial) {
	sums := staterpc.RPC[string, int, int]{Name: "laws.sums", Version: 1}
	p := staterpc.NewPublisher(0, func(sum, u int) int { return sum + u }, 1000)
	c := dial(t, sums.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) { return p.Watch(ctx) }))
	for i := range 10 {
		p.Publish(i)
	}
	sum, updates, err := sums.Client(c)(within(t), "")
	if err != nil {
		t.Fatal(err)
	}
	saw(t, "state", sum, 45)
	for i := range 10 {
		p.Publish(i)
	}
	var seen []int
	for u, err := range updates {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, u); len(seen) == 10 {
			break
		}
	}
	if !slices.Equal(seen, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("got %v", seen)
	}
	lagging, stop := context.WithCancel(within(t))
	defer stop()
	_, updates, err = sums.Client(c)(lagging, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 { // more than is on the way and in the backlog, unless all are read at once
		p.Publish(1)
	}
	n := 0
	for _, err = range updates {
		if err != nil {
			break
		}
		if n++; n == 100_000 {
			break
		}
	}
	if n < 100_000 && !errors.Is(err, bus.Lost) {
		t.Errorf("after %d updates: %v, want to be told of the lag", n, err)
	}
}
