// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

// everyKindConverts has a caller, a responder and both convert to the same version
// of each kind: its queries, answers, states, updates and typed errors, at the
// opening and at the end of a stream. Whoever converts, the caller sees the same.
func everyKindConverts(t *testing.T, dial Dial) {
	for _, kind := range []struct {
		name   string
		across func(t *testing.T, dial Dial, who converting) string
		want   string
	}{
		{"one-way", oneWayAcross, "took 3, took -1"},
		{"unary", unaryAcross, "4, AAPL is halted"},
		{"pipe", pipeAcross, "5 6, AAPL is halted, 0 1 AAPL is halted"},
		{"state", stateAcross, "4: 5 6, AAPL is halted, -1: 0 1 AAPL is halted"},
	} {
		for _, who := range []converting{{}, {caller: true}, {callee: true}, {caller: true, callee: true}} {
			t.Run(kind.name+" "+who.String(), func(t *testing.T) {
				saw(t, "what the caller saw", kind.across(t, dial, who), kind.want)
			})
		}
	}
}

// A converting says which sides have a model of their own.
type converting struct{ caller, callee bool }

func (c converting) String() string {
	return map[converting]string{
		{}: "as it is", {caller: true}: "converted by the caller",
		{callee: true}: "converted by the responder", {true, true}: "converted by both",
	}[c]
}

// A dialect is the types of one side.
type dialect[T any] struct {
	of     func(int) T
	number func(T) int
	halt   error                // what it says when trading is halted
	halted func(err error) bool // whether it was said so
}

var (
	wired = dialect[int]{same[int], same[int], &haltedV1{"AAPL"}, saysHalt[*haltedV1]}
	model = dialect[cents]{toCents, fromCents, &halted{"AAPL"}, saysHalt[*halted]}

	wiredErrors = []bus.ErrorType{bus.ErrorOf[*haltedV1]("halted")}
	haltUp      = bus.MapError(func(h *haltedV1) *halted { return &halted{h.S} })
	haltDown    = bus.MapError(func(h *halted) *haltedV1 { return &haltedV1{h.Symbol} })
)

func saysHalt[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// said is err in a word.
func (d dialect[T]) said(err error) string {
	if d.halted(err) {
		return "AAPL is halted"
	}
	return fmt.Sprint(err)
}

// What the sides ask for.
const (
	atOpening = -1 // to be refused
	atTheEnd  = -2 // a stream that ends in an error
)

func oneWayAcross(t *testing.T, dial Dial, who converting) string {
	rpc := onewayrpc.RPC[int]{Name: "laws.m", Version: 1}
	family := versioned.New(versioned.Via(rpc, onewayrpc.Convert(fromCents), onewayrpc.Convert(toCents)))
	took := make(chan int, 2)
	handlers := []bus.Handler{rpc.Handler(func(_ context.Context, n int) error { took <- n; return nil })}
	if who.callee {
		handlers = family.Handlers(func(_ context.Context, c cents) error { took <- c.N; return nil })
	}
	c := dial(t, handlers...)
	send := rpc.Client(c)
	if who.caller {
		send = func(ctx context.Context, n int) error { return family.Client(c)(ctx, cents{n}) }
	}
	for _, n := range []int{3, atOpening} {
		if err := send(within(t), n); err != nil {
			t.Fatal(err)
		}
	}
	first, second := await(t, took, "the message"), await(t, took, "the second message")
	return fmt.Sprintf("took %d, took %d", max(first, second), min(first, second)) // handlers run side by side
}

func unaryAcross(t *testing.T, dial Dial, who converting) string {
	rpc := unaryrpc.RPC[int, int]{Name: "laws.m", Version: 1, Errors: wiredErrors}
	family := versioned.New(versioned.Via(rpc,
		unaryrpc.Convert(fromCents, toCents, haltUp), unaryrpc.Convert(toCents, fromCents, haltDown)))
	handlers := []bus.Handler{rpc.Handler(unaryIn(wired))}
	if who.callee {
		handlers = family.Handlers(unaryIn(model))
	}
	c := dial(t, handlers...)
	if who.caller {
		return unarySeen(t, model, family.Client(c))
	}
	return unarySeen(t, wired, rpc.Client(c))
}

func unaryIn[T any](d dialect[T]) unaryrpc.Func[T, T] {
	return func(_ context.Context, q T) (T, error) {
		n := d.number(q)
		if n == atOpening {
			return q, d.halt
		}
		return d.of(n + 1), nil
	}
}

func unarySeen[T any](t *testing.T, d dialect[T], f unaryrpc.Func[T, T]) string {
	answer, err := f(within(t), d.of(3))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f(within(t), d.of(atOpening))
	return fmt.Sprintf("%d, %s", d.number(answer), d.said(err))
}

func pipeAcross(t *testing.T, dial Dial, who converting) string {
	rpc := piperpc.RPC[int, int]{Name: "laws.m", Version: 1, Errors: wiredErrors}
	family := versioned.New(versioned.Via(rpc,
		piperpc.Convert(fromCents, toCents, haltUp), piperpc.Convert(toCents, fromCents, haltDown)))
	handlers := []bus.Handler{rpc.Handler(pipeIn(wired))}
	if who.callee {
		handlers = family.Handlers(pipeIn(model))
	}
	c := dial(t, handlers...)
	if who.caller {
		return pipeSeen(t, model, family.Client(c))
	}
	return pipeSeen(t, wired, rpc.Client(c))
}

func pipeIn[T any](d dialect[T]) piperpc.Func[T, T] {
	state := stateIn(d)
	return func(ctx context.Context, q T) (iter.Seq2[T, error], error) {
		_, updates, err := state(ctx, q)
		return updates, err
	}
}

func pipeSeen[T any](t *testing.T, d dialect[T], f piperpc.Func[T, T]) (line string) {
	for i, q := range []int{3, atOpening, atTheEnd} {
		updates, err := f(within(t), d.of(q))
		line += []string{"", ", ", ", "}[i] + streamSeen(d, updates, err)
	}
	return line
}

func streamSeen[T any](d dialect[T], updates iter.Seq2[T, error], err error) (line string) {
	if err != nil {
		return d.said(err)
	}
	sep := ""
	for u, err := range updates {
		if err != nil {
			line += sep + d.said(err)
			continue
		}
		line += fmt.Sprint(sep, d.number(u))
		sep = " "
	}
	return line
}

func stateAcross(t *testing.T, dial Dial, who converting) string {
	rpc := staterpc.RPC[int, int, int]{Name: "laws.m", Version: 1, Errors: wiredErrors}
	family := versioned.New(versioned.Via(rpc,
		staterpc.Convert(fromCents, toCents, toCents, haltUp), staterpc.Convert(toCents, fromCents, fromCents, haltDown)))
	handlers := []bus.Handler{rpc.Handler(stateIn(wired))}
	if who.callee {
		handlers = family.Handlers(stateIn(model))
	}
	c := dial(t, handlers...)
	if who.caller {
		return stateSeen(t, model, family.Client(c))
	}
	return stateSeen(t, wired, rpc.Client(c))
}

// stateIn answers n with n+1, then n+2 and n+3.
func stateIn[T any](d dialect[T]) staterpc.Func[T, T, T] {
	return func(_ context.Context, q T) (T, iter.Seq2[T, error], error) {
		n := d.number(q)
		if n == atOpening {
			return q, nil, d.halt
		}
		return d.of(n + 1), func(yield func(T, error) bool) {
			if yield(d.of(n+2), nil) && yield(d.of(n+3), nil) && n == atTheEnd {
				yield(q, d.halt)
			}
		}, nil
	}
}

func stateSeen[T any](t *testing.T, d dialect[T], f staterpc.Func[T, T, T]) (line string) {
	for i, q := range []int{3, atOpening, atTheEnd} {
		state, updates, err := f(within(t), d.of(q))
		line += []string{"", ", ", ", "}[i]
		if err == nil {
			line += fmt.Sprintf("%d: ", d.number(state))
		}
		line += streamSeen(d, updates, err)
	}
	return line
}
