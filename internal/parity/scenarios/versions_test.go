// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

func TestVersions(t *testing.T) {
	run(t, []scenario{
		{"S218 of 1 to 3 here and 1, 2 and 9 there 2 is used", func(t *testing.T, d dial) {
			c := d(t, tagging(1), tagging(2), tagging(9))
			var info bus.Info
			saw(t, "answer", outcome(family(3, 2, 1).Client(c)(bus.WithInfo(within(t), &info), "q")), "up(2:down(q))")
			saw(t, "version", info.RPC.Version, 2)
		}},
		{"S219 without a version in common both sides are listed and nothing is sent", func(t *testing.T, d dial) {
			c := d(t, tagging(4), tagging(5))
			_, err := family(3, 2, 1).Client(bus.Wrap(c, never(t)))(within(t), "q")
			failed(t, err, bus.Unserved, "[4 5]", "[3 2 1]", "s.tag")
		}},
		{"S220 a query that does not convert is not sent", conversionOfQuery},
		{"S221 an answer that does not convert says so", conversionOfAnswer},
		{"S222 the conversion of an answer sees the query", func(t *testing.T, d dial) {
			f := versioned.New(tag(3), versioned.Via(tag(1), func(f tagFunc) tagFunc {
				return func(ctx context.Context, q string) (string, error) {
					answer, err := f(ctx, "old")
					return q + " " + answer, err
				}
			}, nil))
			saw(t, "answer", outcome(f.Client(d(t, tagging(1)))(within(t), "q")), "q 1:old")
		}},
		{"S224 a conversion drops the odd of 0 to 9", func(t *testing.T, d dial) {
			saw(t, "updates", heard(evens().Client(d(t, upTo()))(within(t), 10)), "0 2 4 6 8")
		}},
		{"S225 S226 a conversion that drops works for pushed updates too", func(t *testing.T, d dial) {
			c := d(t, evens().Handlers(piperpc.Push(10, func(_ context.Context, n int, w *piperpc.Writer[int]) error {
				for i := range n {
					w.Send(i)
				}
				w.Close(nil)
				return nil
			}))...)
			saw(t, "updates", heard(numbers.Client(c)(within(t), 10)), "0 2 4 6 8")
		}},
		{"S227 an error that does not convert says so, and names its version", conversionOfError},
		{"S228 a state that does not convert fails the call", conversionOfState},
		{"S229 S235 one version twice, or another name, is refused by name", twice},
		{"S230 versions 1 and 3 are listed", func(t *testing.T, _ dial) {
			f := family(3, 1)
			saw(t, "versions", f.Versions(), "[3 1]")
			saw(t, "RPCs", f.RPCs(), "[s.tag.v3 s.tag.v1]")
		}},
		{"S231 the implementation and OnFirst learn versions 1 and 2", called},
		{"S233 OnFirst learns versions of pushed streams too", func(t *testing.T, d dial) {
			seen := make(chan int, 4)
			handlers := evens().Handlers(piperpc.Push(1, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
				w.Close(nil)
				return nil
			}))
			first := bus.OnFirst(func(rpc bus.Description) { seen <- rpc.Version })
			for i := range handlers {
				handlers[i] = handlers[i].With(first)
			}
			c := d(t, handlers...)
			for range 2 {
				saw(t, "version 1", heard(numbers.Client(c)(within(t), 0)), "")
				saw(t, "version 2", heard(evens().Client(c)(within(t), 0)), "")
			}
			saw(t, "seen", fmt.Sprint(<-seen, " ", <-seen, " ", len(seen)), "1 2 0")
		}},
		{"S234 an answer of the implementation that does not convert says so", func(t *testing.T, d dial) {
			f := versioned.New(tag(2), versioned.Via(tag(1), nil, func(f tagFunc) tagFunc {
				return func(ctx context.Context, q string) (string, error) {
					if _, err := f(ctx, q); err != nil {
						return "", err
					}
					return "", errors.New("no such answer")
				}
			}))
			_, err := tag(1).Client(d(t, f.Handlers(echoText)...))(within(t), "q")
			failed(t, err, bus.Inconvertible, "no such answer", "s.tag.v1")
		}},
		{"S236 a query that does not convert there runs no implementation", func(t *testing.T, d dial) {
			f := versioned.New(tag(2), versioned.Via(tag(1), nil, func(tagFunc) tagFunc {
				return func(context.Context, string) (string, error) { return "", errors.New("no such query") }
			}))
			c := d(t, f.Handlers(func(context.Context, string) (string, error) { t.Error("it ran"); return "", nil })...)
			_, err := tag(1).Client(c)(within(t), "q")
			failed(t, err, bus.Inconvertible, "no such query")
		}},
		{"S239 a message that does not convert is dropped alone", messageDoesNotConvert},
		{"S240 a versioned stream whose source fails ends with the error", sourceFails},
		{"S238 S250 a converted writer goes on after what is dropped", func(t *testing.T, d dial) {
			c := d(t, evens().Handlers(piperpc.Push(2, func(_ context.Context, _ int, w *piperpc.Writer[int]) error {
				saw(t, "the dropped update is taken", w.Send(1), true)
				saw(t, "the next is taken", w.Send(2), true)
				w.Close(nil)
				saw(t, "one after the end is taken", w.Send(4), false)
				return nil
			}))...)
			saw(t, "updates", heard(numbers.Client(c)(within(t), 0)), "2")
		}},
	})
}

type tagFunc = unaryrpc.Func[string, string]

// tag is a version of an RPC whose answers name it.
func tag(v int) unaryrpc.RPC[string, string] {
	return unaryrpc.RPC[string, string]{Name: "s.tag", Version: v}
}

func tagging(v int) bus.Handler {
	return tag(v).Handler(func(_ context.Context, q string) (string, error) { return fmt.Sprintf("%d:%s", v, q), nil })
}

func echoText(_ context.Context, q string) (string, error) { return q, nil }

// family has the first of versions as its model and converts the others.
func family(versions ...int) versioned.Family[tagFunc] {
	marked := func(mark string) func(string) string {
		return func(s string) string { return mark + "(" + s + ")" }
	}
	ds := []bus.Definition[tagFunc]{tag(versions[0])}
	for _, v := range versions[1:] {
		ds = append(ds, versioned.Via(tag(v),
			unaryrpc.Convert(marked("down"), marked("up")), unaryrpc.Convert(marked("up"), marked("down"))))
	}
	return versioned.New(ds...)
}

// never reports calls that are made all the same.
func never(t *testing.T) bus.Middleware {
	return func(bus.CallFunc) bus.CallFunc {
		return func(_ context.Context, c bus.Call) (bus.Reply, error) {
			t.Errorf("%v was called", c.Description)
			return bus.Reply{}, bus.Invalid
		}
	}
}

var errConversion = errors.New("no such value")

func conversionOfQuery(t *testing.T, d dial) {
	f := versioned.New(tag(3), versioned.Via(tag(1), func(tagFunc) tagFunc {
		return func(context.Context, string) (string, error) { return "", fmt.Errorf("query: %w", errConversion) }
	}, nil))
	_, err := f.Client(bus.Wrap(d(t, tagging(1)), never(t)))(within(t), "q")
	failed(t, err, bus.Inconvertible, "query", "s.tag.v1")
	saw(t, "the conversion's own error is found", errors.Is(err, errConversion), true)
}

func conversionOfAnswer(t *testing.T, d dial) {
	f := versioned.New(tag(3), versioned.Via(tag(1), func(f tagFunc) tagFunc {
		return func(ctx context.Context, q string) (string, error) {
			if _, err := f(ctx, q); err != nil {
				return "", err
			}
			return "", fmt.Errorf("answer: %w", errConversion)
		}
	}, nil))
	_, err := f.Client(d(t, tagging(1)))(within(t), "q")
	failed(t, err, bus.Inconvertible, "answer", "s.tag.v1")
}

// evens converts version 1 to version 2 and back, but for the odd updates.
func evens() versioned.Family[piperpc.Func[int, int]] {
	even := func(f piperpc.Func[int, int]) piperpc.Func[int, int] {
		return func(ctx context.Context, n int) (iter.Seq2[int, error], error) {
			updates, err := f(ctx, n)
			return piperpc.Split(updates, func(n int, yield func(int) bool) error {
				if n%2 == 0 {
					yield(n)
				}
				return nil
			}), err
		}
	}
	two := piperpc.RPC[int, int]{Name: numbers.Name, Version: 2}
	return versioned.New(two, versioned.Via(numbers, even, even))
}

func conversionOfState(t *testing.T, d dial) {
	old := staterpc.RPC[int, string, string]{Name: "s.parsed", Version: 1}
	young := staterpc.RPC[int, int, int]{Name: "s.parsed", Version: 2}
	f := versioned.New(young, versioned.Via(old, func(f staterpc.Func[int, string, string]) staterpc.Func[int, int, int] {
		return func(ctx context.Context, q int) (int, iter.Seq2[int, error], error) {
			s, updates, err := f(ctx, q)
			if err != nil {
				return 0, nil, err
			}
			n, err := strconv.Atoi(s)
			if err != nil {
				return 0, nil, fmt.Errorf("state: %w", err)
			}
			return n, piperpc.Map(updates, strconv.Atoi), nil
		}
	}, nil))
	c := d(t, old.Handler(func(_ context.Context, n int) (string, iter.Seq2[string, error], error) {
		if n == 0 {
			return "none", of[string](), nil
		}
		return strconv.Itoa(n), of("1", "x", "2"), nil
	}))
	_, _, err := f.Client(c)(within(t), 0)
	failed(t, err, bus.Inconvertible, "state", "s.parsed.v1")
	saw(t, "an update that does not convert is one", heardState(f.Client(c)(within(t), 9)), "9: 1 missing 2")
}

func twice(t *testing.T, d dial) {
	same := versioned.New(tag(1), bus.Definition[tagFunc](tag(1)))
	_, err := same.Client(d(t, tagging(1)))(within(t), "q")
	failed(t, err, bus.Invalid, "s.tag.v1")
	mixed := versioned.New(tag(1), bus.Definition[tagFunc](unaryrpc.RPC[string, string]{Name: "s.other", Version: 2}))
	_, err = mixed.Client(d(t, tagging(1)))(within(t), "q")
	failed(t, err, bus.Invalid, "s.other")
}

func called(t *testing.T, d dial) {
	type call struct {
		version int
		query   string
	}
	calls, seen := make(chan call, 4), make(chan int, 4)
	handlers := family(2, 1).Handlers(func(ctx context.Context, q string) (string, error) {
		calls <- call{bus.IncomingCall(ctx).RPC.Version, q}
		return q, nil
	})
	first := bus.OnFirst(func(rpc bus.Description) { seen <- rpc.Version })
	for i := range handlers {
		handlers[i] = handlers[i].With(first)
	}
	c := d(t, handlers...)
	for _, v := range []int{1, 2, 1, 2} {
		if _, err := tag(v).Client(c)(within(t), "q"); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []call{{1, "up(q)"}, {2, "q"}, {1, "up(q)"}, {2, "q"}} {
		saw(t, "a call", await(t, "a call", calls), want)
	}
	saw(t, "versions seen", len(seen), 2)
}

func messageDoesNotConvert(t *testing.T, d dial) {
	young := onewayrpc.RPC[string]{Name: message.Name, Version: 2}
	f := versioned.New(young, versioned.Via(message, nil, func(f onewayrpc.Func[string]) onewayrpc.Func[string] {
		return func(ctx context.Context, m string) error {
			if m == "odd" {
				return errConversion
			}
			return f(ctx, m)
		}
	}))
	handled := make(chan string, 2)
	c := d(t, f.Handlers(func(_ context.Context, m string) error { handled <- m; return nil })...)
	for _, m := range []string{"odd", "even"} {
		if err := message.Client(c)(within(t), m); err != nil {
			t.Error(m, err)
		}
	}
	saw(t, "handled", await(t, "a message", handled), "even")
	saw(t, "others", len(handled), 0)
}

func sourceFails(t *testing.T, d dial) {
	c := d(t, evens().Handlers(func(context.Context, int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			if yield(2, nil) {
				yield(0, errors.New("the source is gone"))
			}
		}, nil
	})...)
	saw(t, "heard", heard(numbers.Client(c)(within(t), 0)), "2 failed")
}

// conversionOfError rejects a query at version 1 with an error that the caller's
// conversion has no counterpart for.
func conversionOfError(t *testing.T, d dial) {
	two := piperpc.RPC[int, int]{Name: numbers.Name, Version: 2}
	f := versioned.New(two, versioned.Via(numbers, func(f piperpc.Func[int, int]) piperpc.Func[int, int] {
		return func(ctx context.Context, n int) (iter.Seq2[int, error], error) {
			updates, err := f(ctx, n)
			if errors.Is(err, bus.Busy) {
				err = errors.New("version 2 is never busy")
			}
			return updates, err
		}
	}, nil))
	c := d(t, number.Handler(echo), numbers.Handler(func(context.Context, int) (iter.Seq2[int, error], error) { return nil, bus.Busy }))
	_, err := f.Client(c)(within(t), 1)
	failed(t, err, bus.Inconvertible, "s.numbers.v1", "version 2 is never busy")
	works(t, c)
}
