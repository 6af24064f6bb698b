// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

func TestStreams(t *testing.T) {
	run(t, []scenario{
		{"S030 a proxy carries a pipe of five", func(t *testing.T, d dial) {
			proxy := d(t, bus.Handler{Description: numbers.Describe(), Call: d(t, upTo()).Call})
			saw(t, "updates", heard(numbers.Client(proxy)(within(t), 5)), "0 1 2 3 4")
		}},
		{"S065 a stream is open before its first update", openBeforeFirst},
		{"S067 a stream that has ended has no updates", func(t *testing.T, d dial) {
			saw(t, "updates", heard(numbers.Client(d(t, upTo()))(within(t), 0)), "")
		}},
		{"S068 five updates and a clean end", func(t *testing.T, d dial) {
			saw(t, "updates", heard(numbers.Client(d(t, upTo()))(within(t), 5)), "0 1 2 3 4")
		}},
		{"S069 S087 after two of five a caller that gives up is told", givesUp},
		{"S072 S075 S110 a panic before the verdict fails the call", func(t *testing.T, d dial) {
			c := d(t, number.Handler(echo), numbers.Handler(func(context.Context, int) (iter.Seq2[int, error], error) { panic("at once") }))
			_, err := numbers.Client(c)(within(t), 0)
			failed(t, err, bus.Panicked, "s.numbers.v1")
			works(t, c)
		}},
		{"S073 a malformed query runs no handler", func(t *testing.T, d dial) {
			c := d(t, number.Handler(echo), numbers.Handler(func(context.Context, int) (iter.Seq2[int, error], error) {
				t.Error("it ran")
				return nil, nil
			}))
			_, err := bus.Do(within(t), c, bus.Call{Description: numbers.Describe(), Query: []byte("{"), ContentType: bus.ContentTypeJSON})
			failed(t, err, bus.Undecodable, "query")
			works(t, c)
		}},
		{"S082 a cancellation behind the end is ignored", func(t *testing.T, d dial) {
			c := d(t, upTo(), number.Handler(echo))
			ctx, cancel := context.WithCancel(within(t))
			updates, err := numbers.Client(c)(ctx, 2)
			saw(t, "updates", heard(updates, err), "0 1")
			cancel()
			works(t, c)
		}},
		{"S085 updates 0 to 10 in order and one end", func(t *testing.T, d dial) {
			saw(t, "updates", heard(numbers.Client(d(t, upTo()))(within(t), 11)), "0 1 2 3 4 5 6 7 8 9 10")
		}},
		{"S086 a loop that is left releases its handler", leavesLoop},
		{"S088 two updates wait for a reader that is open but does not read yet", func(t *testing.T, d dial) {
			c := d(t, upTo(), number.Handler(echo))
			updates, err := numbers.Client(c)(within(t), 2)
			works(t, c)
			saw(t, "updates", heard(updates, err), "0 1")
		}},
		{"S093 a fold that is cut short ends, with the reason", foldIsCut},
		{"S095 a panic after one update ends its stream alone, with its error", func(t *testing.T, d dial) { panicsAfter(t, d, 1, "0 panicked") }},
		{"S103 S105 S106 a panic after two updates is seen behind them", func(t *testing.T, d dial) { panicsAfter(t, d, 2, "0 1 panicked") }},
		{"S152 updates 0 to 2499 in order", func(t *testing.T, d dial) {
			var want []string
			for n := range 2500 {
				want = append(want, fmt.Sprint(n))
			}
			saw(t, "updates", heard(numbers.Client(d(t, upTo()))(within(t), 2500)), strings.Join(want, " "))
		}},
	})
}

// upTo yields the numbers below the query.
func upTo() bus.Handler {
	return numbers.Handler(func(_ context.Context, n int) (iter.Seq2[int, error], error) { return below(n), nil })
}

func below(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := 0; i < n && yield(i, nil); i++ {
		}
	}
}

func openBeforeFirst(t *testing.T, d dial) {
	written := make(chan int)
	for name, f := range map[string]staterpc.Func[int, int, int]{
		"pulled": func(context.Context, int) (int, iter.Seq2[int, error], error) {
			return 9, func(yield func(int, error) bool) { yield(<-written, nil) }, nil
		},
		"pushed": staterpc.Push(1, func(_ context.Context, _ int, w *staterpc.Writer[int]) (int, error) {
			go func() { w.Send(<-written); w.Close(nil) }()
			return 9, nil
		}),
	} {
		c := d(t, state.Handler(f), numbers.Handler(func(ctx context.Context, n int) (iter.Seq2[int, error], error) {
			_, updates, err := f(ctx, n)
			return updates, err
		}))
		first, updates, err := state.Client(c)(within(t), 0)
		go func() { written <- 1 }()
		saw(t, name+" state", heardState(first, updates, err), "9: 1")
		elements, err := numbers.Client(c)(within(t), 0)
		go func() { written <- 2 }()
		saw(t, name+" pipe", heard(elements, err), "2")
	}
}

// waiting yields five numbers, but waits for the end of its call after two of
// them; it says so in ended.
func waiting(ended chan<- error) bus.Handler {
	return numbers.Handler(func(ctx context.Context, _ int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			defer func() { ended <- ctx.Err() }()
			if yield(0, nil) && yield(1, nil) {
				<-ctx.Done()
			}
		}, nil
	})
}

func givesUp(t *testing.T, d dial) {
	ended := make(chan error, 1)
	c := d(t, waiting(ended))
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	updates, err := numbers.Client(c)(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for n, err := range updates {
		if got = append(got, outcome(n, err)); len(got) == 2 {
			cancel()
		}
	}
	saw(t, "heard", got, []string{"0", "1", string(bus.Canceled)})
	await(t, "the handler's end", ended)
}

func foldIsCut(t *testing.T, d dial) {
	c := d(t, state.Handler(func(ctx context.Context, n int) (int, iter.Seq2[int, error], error) {
		return n, func(yield func(int, error) bool) {
			if yield(1, nil) && yield(2, nil) {
				<-ctx.Done()
			}
		}, nil
	}))
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	sum, updates, err := state.Client(c)(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	for n, err := range updates {
		if err != nil {
			failed(t, err, bus.Canceled)
			break
		}
		if sum += n; sum == 13 {
			cancel()
		}
	}
	saw(t, "the fold", sum, 13)
}

func leavesLoop(t *testing.T, d dial) {
	ended := make(chan error, 1)
	updates, err := numbers.Client(d(t, waiting(ended)))(within(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	for range updates {
		break
	}
	await(t, "the handler's end", ended)
}

func panicsAfter(t *testing.T, d dial, n int, want string) {
	c := d(t, number.Handler(echo), numbers.Handler(func(context.Context, int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			below(n)(yield)
			panic("in the background")
		}, nil
	}))
	saw(t, "heard", heard(numbers.Client(c)(within(t), 0)), want)
	works(t, c)
}

// statesRefuse is for pulled and pushed states alike.
func statesRefuse(t *testing.T, d dial) {
	refused := string(bus.Unauthorized)
	for name, f := range map[string]staterpc.Func[int, int, int]{
		"pulled": func(_ context.Context, n int) (int, iter.Seq2[int, error], error) { return n, of(n), positive(n) },
		"pushed": staterpc.Push(1, func(_ context.Context, n int, w *staterpc.Writer[int]) (int, error) {
			w.Send(n)
			w.Close(nil)
			return n, positive(n)
		}),
	} {
		c := d(t, state.Handler(f))
		for _, q := range []struct {
			n    int
			want string
		}{{131, "131: 131"}, {-132, refused}, {133, "133: 133"}, {-134, refused}} {
			saw(t, fmt.Sprint(name, q.n), heardState(state.Client(c)(within(t), q.n)), q.want)
		}
	}
}

func TestPushing(t *testing.T) {
	run(t, []scenario{
		{"S117 S118 three updates before the verdict follow it in order", func(t *testing.T, d dial) {
			c := d(t, state.Handler(staterpc.Push(3, func(_ context.Context, n int, w *staterpc.Writer[int]) (int, error) {
				for i := range 3 {
					w.Send(i)
				}
				w.Close(nil)
				return n, nil
			})))
			saw(t, "heard", heardState(state.Client(c)(within(t), 9)), "9: 0 1 2")
		}},
		{"S121 S122 a push that fails sends only its error, and its writer is closed", pushFails},
		{"S126 a thousand bytes and a close before the verdict arrive", func(t *testing.T, d dial) {
			long := piperpc.RPC[int, string]{Name: "s.long", Version: 1}
			c := d(t, long.Handler(piperpc.Push(1, func(_ context.Context, n int, w *piperpc.Writer[string]) error {
				w.Send(strings.Repeat("x", n))
				w.Close(nil)
				return nil
			})))
			saw(t, "heard", heard(long.Client(c)(within(t), 1000)), strings.Repeat("x", 1000))
		}},
		{"S127 ten updates, then each of three ends closes the writer", threeEnds},
	})
}

func pushFails(t *testing.T, d dial) {
	writers := make(chan *piperpc.Writer[int], 1)
	c := d(t, numbers.Handler(piperpc.Push(2, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
		w.Send(1)
		writers <- w
		return errors.New("after all")
	})))
	_, err := numbers.Client(c)(within(t), 0)
	failed(t, err, bus.Failed, "after all")
	saw(t, "a later update is taken", await(t, "the writer", writers).Send(2), false)
}

func threeEnds(t *testing.T, d dial) {
	writers, contexts := make(chan *piperpc.Writer[int], 1), make(chan context.Context, 1)
	c := d(t, numbers.Handler(piperpc.Push(10, func(ctx context.Context, responderCloses int, w *piperpc.Writer[int]) error {
		for i := range 10 {
			w.Send(i)
		}
		if responderCloses == 1 {
			w.Close(nil)
		}
		writers <- w
		contexts <- ctx
		return nil
	})))
	for _, end := range []struct {
		name            string
		responderCloses int
		then            func(cancel func()) (more bool)
		last            string
	}{
		{"the responder closes", 1, func(func()) bool { return true }, ""},
		{"the caller leaves", 0, func(func()) bool { return false }, ""},
		{"the call is cancelled", 0, func(cancel func()) bool { cancel(); return true }, " canceled"},
	} {
		ctx, cancel := context.WithCancel(within(t))
		updates, err := numbers.Client(c)(ctx, end.responderCloses)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for n, err := range updates {
			if got = append(got, outcome(n, err)); len(got) == 10 && !end.then(cancel) {
				break
			}
		}
		saw(t, end.name, strings.Join(got, " "), "0 1 2 3 4 5 6 7 8 9"+end.last)
		await(t, "the end of the handler's context", await(t, "a context", contexts).Done())
		saw(t, end.name+": a later update is taken", await(t, "a writer", writers).Send(11), false)
		cancel()
	}
}
