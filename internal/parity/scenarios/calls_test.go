// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

func TestCallsOfOneAnswer(t *testing.T) {
	run(t, []scenario{
		{"S003 a good value is one answer", oneAnswer},
		{"S005 a handler that panics costs its call alone", panics},
		{"S008 two versions of a name are told apart", twoVersions},
		{"S029 a proxy carries a unary call", func(t *testing.T, d dial) {
			proxy := d(t, bus.Handler{Description: number.Describe(), Call: d(t, number.Handler(echo)).Call})
			saw(t, "answer", outcome(number.Client(proxy)(within(t), 5)), "5")
		}},
		{"S034 raw and typed callers and handlers go together", rawAndTyped},
		{"S074 a unary call of a pipe fails and nothing else", func(t *testing.T, d dial) {
			c := d(t, numbers.Handler(func(context.Context, int) (iter.Seq2[int, error], error) { return of(1), nil }), number.Handler(echo))
			_, err := unaryrpc.RPC[int, int]{Name: "s.numbers", Version: 1}.Client(c)(within(t), 0)
			failed(t, err, bus.Invalid, "unary", "pipe")
			works(t, c)
		}},
		{"S108 typed and raw handlers that panic leave the rest alone", rawPanics},
	})
}

func oneAnswer(t *testing.T, d dial) {
	runs := 0
	c := d(t, number.Handler(func(_ context.Context, n int) (int, error) { runs++; return n, nil }))
	saw(t, "answer", outcome(number.Client(c)(within(t), 3)), "3")
	saw(t, "runs of the handler", runs, 1)
}

func panics(t *testing.T, d dial) {
	c := d(t, text.Handler(func(context.Context, string) (string, error) { panic("no such thing") }), number.Handler(echo))
	_, err := text.Client(c)(within(t), "")
	failed(t, err, bus.Panicked, "s.text.v1")
	works(t, c)
}

func twoVersions(t *testing.T, d dial) {
	v2 := unaryrpc.RPC[int, int]{Name: number.Name, Version: 2}
	c := d(t, number.Handler(echo), v2.Handler(func(_ context.Context, n int) (int, error) { return -n, nil }))
	saw(t, "version 1", outcome(number.Client(c)(within(t), 4)), "4")
	saw(t, "version 2", outcome(v2.Client(c)(within(t), 4)), "-4")
}

func rawAndTyped(t *testing.T, d dial) {
	typed := unaryrpc.RPC[[]byte, []byte]{Name: "s.typed", Version: 1}
	raw := unaryrpc.RPC[[]byte, []byte]{Name: "s.raw", Version: 1}
	reverse := func(b []byte) []byte { b = slices.Clone(b); slices.Reverse(b); return b }
	c := d(t,
		typed.Handler(func(_ context.Context, b []byte) ([]byte, error) { return reverse(b), nil }),
		bus.Handler{Description: raw.Describe(), Call: func(_ context.Context, c bus.Call) (bus.Reply, error) {
			return bus.Reply{First: reverse(c.Query)}, nil
		}})
	for _, rpc := range []unaryrpc.RPC[[]byte, []byte]{typed, raw} {
		b, err := rpc.Client(c)(within(t), []byte("hello"))
		saw(t, rpc.Name+" called typed", string(b)+outcome("", err), "olleh")
		r, err := bus.Do(within(t), c, bus.Call{Description: rpc.Describe(), Query: []byte("hello")})
		saw(t, rpc.Name+" called raw", string(r.First)+outcome("", err), "olleh")
	}
}

func rawPanics(t *testing.T, d dial) {
	raw := unaryrpc.RPC[int, int]{Name: "s.raw", Version: 1}
	failing := unaryrpc.RPC[int, int]{Name: "s.failing", Version: 1}
	c := d(t, number.Handler(echo),
		text.Handler(func(context.Context, string) (string, error) { panic("typed") }),
		bus.Handler{Description: raw.Describe(), Call: func(context.Context, bus.Call) (bus.Reply, error) { panic("raw") }},
		failing.Handler(func(context.Context, int) (int, error) { return 0, errors.New("failing") }))
	saw(t, "typed", outcome(text.Client(c)(within(t), "")), string(bus.Panicked))
	saw(t, "raw", outcome(raw.Client(c)(within(t), 0)), string(bus.Panicked))
	saw(t, "failing", outcome(failing.Client(c)(within(t), 0)), string(bus.Failed))
	works(t, c)
}

func TestMiddlewareAndRefusals(t *testing.T) {
	refused := string(bus.Unauthorized)
	run(t, []scenario{
		{"S037 middleware that panics reaches each caller", middlewarePanics},
		{"S038 middleware that fails reaches each caller with its text", middlewareFails},
		{"S039 middleware that accepts runs at each call of each kind", middlewareAccepts},
		{"S041 middleware that refuses runs no handler and harms no other call", middlewareRefuses},
		{"S042 negative queries are refused", func(t *testing.T, d dial) {
			c := d(t, number.Handler(func(_ context.Context, n int) (int, error) { return n, positive(n) }))
			for _, q := range []struct {
				n    int
				want string
			}{{123, "123"}, {-124, refused}, {125, "125"}, {-126, refused}} {
				saw(t, fmt.Sprint(q.n), outcome(number.Client(c)(within(t), q.n)), q.want)
			}
		}},
		{"S043 negative queries of pipes are refused, pulled and pushed", func(t *testing.T, d dial) {
			pulled := func(_ context.Context, n int) (iter.Seq2[int, error], error) { return of(n), positive(n) }
			pushed := piperpc.Push(1, func(_ context.Context, n int, w *piperpc.Writer[int]) error {
				w.Send(n)
				w.Close(nil)
				return positive(n)
			})
			for name, f := range map[string]piperpc.Func[int, int]{"pulled": pulled, "pushed": pushed} {
				c := d(t, numbers.Handler(f))
				for _, q := range []struct {
					n    int
					want string
				}{{127, "127"}, {-128, refused}, {129, "129"}, {-130, refused}} {
					saw(t, fmt.Sprint(name, q.n), heard(numbers.Client(c)(within(t), q.n)), q.want)
				}
			}
		}},
		{"S044 negative queries of states are refused, pulled and pushed", statesRefuse},
		{"S153 without metadata a handler finds none", func(t *testing.T, d dial) { saw(t, "metadata", metadataOf(t, d, nil, nil), "map[]") }},
		{"S154 middleware that adds nothing leaves none", func(t *testing.T, d dial) {
			nothing := func(next bus.CallFunc) bus.CallFunc { return next }
			saw(t, "metadata", metadataOf(t, d, nil, nothing), "map[]")
		}},
		{"S155 middleware tells name and version", func(t *testing.T, d dial) {
			saw(t, "metadata", metadataOf(t, d, nil, naming), "map[rpc:s.number:1]")
		}},
		{"S156 what middleware puts in the context a handler finds", serverHook},
		{"S157 two keys of middleware arrive", func(t *testing.T, d dial) {
			both := func(next bus.CallFunc) bus.CallFunc { return adding("a", "1")(adding("b", "2")(next)) }
			saw(t, "metadata", metadataOf(t, d, nil, both), "map[a:1 b:2]")
		}},
		{"S158 two keys of a call arrive", func(t *testing.T, d dial) {
			saw(t, "metadata", metadataOf(t, d, bus.Metadata{"a": "1", "b": "2"}, nil), "map[a:1 b:2]")
		}},
		{"S160 metadata of 2048 and 1024 bytes arrives uncut", func(t *testing.T, d dial) {
			md := bus.Metadata{"a": strings.Repeat("x", 2048), "b": strings.Repeat("y", 1024)}
			saw(t, "metadata", metadataOf(t, d, md, nil), fmt.Sprint(map[string]string(md)))
		}},
	})
}

func positive(n int) error {
	if n < 0 {
		return bus.Unauthorized
	}
	return nil
}

// metadataOf is what a handler finds of a call with md, made behind mw.
func metadataOf(t *testing.T, d dial, md bus.Metadata, mw bus.Middleware) string {
	found := make(chan string, 1)
	c := d(t, number.Handler(func(ctx context.Context, n int) (int, error) {
		found <- fmt.Sprint(map[string]string(bus.IncomingCall(ctx).Metadata))
		return n, nil
	}))
	if mw != nil {
		c = bus.Wrap(c, mw)
	}
	saw(t, "answer", outcome(number.Client(c)(bus.WithMetadata(within(t), md), 1)), "1")
	return await(t, "metadata", found)
}

// adding puts a key into the metadata of a call.
func adding(key, value string) bus.Middleware {
	return func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			md := bus.Metadata{key: value}
			for k, v := range c.Metadata {
				md[k] = v
			}
			c.Metadata = md
			return next(ctx, c)
		}
	}
}

func naming(next bus.CallFunc) bus.CallFunc {
	return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
		return adding("rpc", fmt.Sprintf("%s:%d", c.Name, c.Version))(next)(ctx, c)
	}
}

func serverHook(t *testing.T, d dial) {
	type key struct{}
	hook := func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			return next(context.WithValue(ctx, key{}, "seen "+c.Metadata["who"]), c)
		}
	}
	c := d(t, text.Handler(func(ctx context.Context, _ string) (string, error) {
		s, _ := ctx.Value(key{}).(string)
		return s, nil
	}).With(hook))
	saw(t, "without metadata", outcome(text.Client(c)(within(t), "")), "seen ")
	saw(t, "with metadata", outcome(text.Client(c)(bus.WithMetadata(within(t), bus.Metadata{"who": "me"}), "")), "seen me")
}

// everyKind returns a handler of each kind with replies behind mw, and what
// calls them all.
func everyKind(mw bus.Middleware, messages chan<- int) (handlers []bus.Handler, callAll func(*testing.T, bus.Caller) []string) {
	oneWay := onewayrpc.RPC[int]{Name: "s.message", Version: 1}
	handlers = []bus.Handler{
		number.Handler(echo).With(mw),
		numbers.Handler(func(_ context.Context, n int) (iter.Seq2[int, error], error) { return of(n), nil }).With(mw),
		state.Handler(func(_ context.Context, n int) (int, iter.Seq2[int, error], error) { return n, of(n), nil }).With(mw),
		oneWay.Handler(func(_ context.Context, n int) error { messages <- n; return nil }).With(mw),
	}
	return handlers, func(t *testing.T, c bus.Caller) []string {
		results := []string{
			outcome(number.Client(c)(within(t), 1)),
			heard(numbers.Client(c)(within(t), 2)),
			heardState(state.Client(c)(within(t), 3)),
		}
		if err := oneWay.Client(c)(within(t), 4); err != nil {
			t.Error("a message:", err)
		}
		return results
	}
}

func middlewarePanics(t *testing.T, d dial) {
	handlers, callAll := everyKind(func(bus.CallFunc) bus.CallFunc {
		return func(context.Context, bus.Call) (bus.Reply, error) { panic("lifted") }
	}, nil)
	for _, got := range callAll(t, d(t, handlers...)) {
		saw(t, "a call", got, string(bus.Panicked))
	}
}

func middlewareFails(t *testing.T, d dial) {
	handlers, callAll := everyKind(func(bus.CallFunc) bus.CallFunc {
		return func(context.Context, bus.Call) (bus.Reply, error) { return bus.Reply{}, errors.New("not lifted") }
	}, nil)
	c := d(t, handlers...)
	for _, got := range callAll(t, c) {
		saw(t, "a call", got, string(bus.Failed))
	}
	_, err := number.Client(c)(within(t), 1)
	failed(t, err, bus.Failed, "not lifted")
}

func middlewareAccepts(t *testing.T, d dial) {
	checks, messages := make(chan bus.Kind, 4), make(chan int, 1)
	handlers, callAll := everyKind(func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) { checks <- c.Kind; return next(ctx, c) }
	}, messages)
	saw(t, "calls", callAll(t, d(t, handlers...)), "[1 2 3: 3]")
	saw(t, "message", await(t, "the message", messages), 4)
	saw(t, "checks", len(checks), 4)
}

func middlewareRefuses(t *testing.T, d dial) {
	messages, refusals := make(chan int, 1), make(chan bus.Kind, 4)
	handlers, callAll := everyKind(func(bus.CallFunc) bus.CallFunc {
		return func(_ context.Context, c bus.Call) (bus.Reply, error) {
			refusals <- c.Kind
			return bus.Reply{}, bus.Unauthorized
		}
	}, messages)
	c := d(t, append(handlers, text.Handler(func(context.Context, string) (string, error) { return "fine", nil }))...)
	for _, got := range callAll(t, c) {
		saw(t, "a call", got, string(bus.Unauthorized))
	}
	for range 4 {
		await(t, "a refusal", refusals)
	}
	saw(t, "messages handled", len(messages), 0)
	saw(t, "a call beside", outcome(text.Client(c)(within(t), "")), "fine")
}
