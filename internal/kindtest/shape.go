// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// An answer is a function that each kind can carry, so that one law holds for
// all of them.
type answer func(ctx context.Context, query string) (string, error)

// A shape is one way to carry an answer.
type shape struct {
	name    string
	d       bus.Description
	late    bool // the answer is worked out after the handler has returned
	handler func(answer, ...bus.ErrorType) bus.Handler
	client  func(bus.Caller, ...bus.ErrorType) answer
}

// The shapes: an answer, the only update of a pipe, a state, and what comes last
// in a pipe and in a state.
var shapes = []shape{
	{"unary", unary().Describe(), false, unaryHandler, unaryClient},
	{"pipe", pipe().Describe(), false, pipeHandler, pipeClient},
	{"state", state().Describe(), false, stateHandler, stateClient},
	{"end of a pipe", pipe().Describe(), true, pipeEndHandler, pipeClient},
	{"end of a state", state().Describe(), true, stateEndHandler, stateEndClient},
}

// eachShape runs law for all shapes.
func eachShape(t *testing.T, law func(*testing.T, shape)) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) { law(t, s) })
	}
}

func unary(errs ...bus.ErrorType) unaryrpc.RPC[string, string] {
	return unaryrpc.RPC[string, string]{Name: "laws.unary", Version: 1, Errors: errs}
}

func pipe(errs ...bus.ErrorType) piperpc.RPC[string, string] {
	return piperpc.RPC[string, string]{Name: "laws.pipe", Version: 1, Errors: errs}
}

func state(errs ...bus.ErrorType) staterpc.RPC[string, string, string] {
	return staterpc.RPC[string, string, string]{Name: "laws.state", Version: 1, Errors: errs}
}

func unaryHandler(f answer, errs ...bus.ErrorType) bus.Handler {
	return unary(errs...).Handler(unaryrpc.Func[string, string](f))
}

func unaryClient(c bus.Caller, errs ...bus.ErrorType) answer { return answer(unary(errs...).Client(c)) }

func pipeHandler(f answer, errs ...bus.ErrorType) bus.Handler {
	return pipe(errs...).Handler(func(ctx context.Context, q string) (iter.Seq2[string, error], error) {
		a, err := f(ctx, q)
		if err != nil {
			return nil, err
		}
		return func(yield func(string, error) bool) { yield(a, nil) }, nil
	})
}

func pipeEndHandler(f answer, errs ...bus.ErrorType) bus.Handler {
	return pipe(errs...).Handler(func(ctx context.Context, q string) (iter.Seq2[string, error], error) {
		return func(yield func(string, error) bool) { yield(f(ctx, q)) }, nil
	})
}

func pipeClient(c bus.Caller, errs ...bus.ErrorType) answer {
	return func(ctx context.Context, q string) (string, error) {
		updates, err := pipe(errs...).Client(c)(ctx, q)
		if err != nil {
			return "", err
		}
		return last(updates)
	}
}

func stateHandler(f answer, errs ...bus.ErrorType) bus.Handler {
	return state(errs...).Handler(func(ctx context.Context, q string) (string, iter.Seq2[string, error], error) {
		a, err := f(ctx, q)
		return a, nil, err
	})
}

func stateEndHandler(f answer, errs ...bus.ErrorType) bus.Handler {
	return state(errs...).Handler(func(ctx context.Context, q string) (string, iter.Seq2[string, error], error) {
		return "", func(yield func(string, error) bool) { yield(f(ctx, q)) }, nil
	})
}

func stateClient(c bus.Caller, errs ...bus.ErrorType) answer {
	return func(ctx context.Context, q string) (string, error) {
		s, updates, err := state(errs...).Client(c)(ctx, q)
		if err != nil {
			return "", err
		}
		_, err = last(updates)
		return s, err
	}
}

func stateEndClient(c bus.Caller, errs ...bus.ErrorType) answer {
	return func(ctx context.Context, q string) (string, error) {
		_, updates, err := state(errs...).Client(c)(ctx, q)
		if err != nil {
			return "", err
		}
		return last(updates)
	}
}

// last loops over updates and returns the last of them, or the first error.
func last(updates iter.Seq2[string, error]) (u string, err error) {
	for u, err = range updates {
		if err != nil {
			return "", err
		}
	}
	return u, nil
}
