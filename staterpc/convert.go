// SPDX-License-Identifier: Apache-2.0

package staterpc

import (
	"context"
	"errors"
	"iter"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/streamrpc"
)

// Convert returns a conversion between Funcs of two versions; see
// unaryrpc.Convert. Errors are converted at opening and at the end of the
// updates. For anything that may fail, needs the query, or changes the number of
// updates, write the conversion out with piperpc.Map and piperpc.Split.
func Convert[Q1, S1, U1, Q, S, U any](query func(Q) Q1, state func(S1) S, update func(U1) U, errs ...bus.ErrorMap) func(Func[Q1, S1, U1]) Func[Q, S, U] {
	return func(f Func[Q1, S1, U1]) Func[Q, S, U] {
		if f == nil {
			return nil
		}
		return func(ctx context.Context, q Q) (s S, _ iter.Seq2[U, error], err error) {
			s1, updates, err := f(ctx, query(q))
			if err != nil {
				return s, nil, bus.MapErrors(err, errs...)
			}
			return state(s1), streamrpc.Convert(updates, update, errs), nil
		}
	}
}

// Strict returns f with its first [bus.ElementError] made the stream's end, as
// [bus.Lost], for those whose state is wrong once an update is missing.
func Strict[Q, S, U any](f Func[Q, S, U]) Func[Q, S, U] {
	return f.MapErrors(func(err error) error {
		element, ok := errors.AsType[*bus.ElementError](err)
		if !ok {
			return err
		}
		text := (&bus.ElementError{Err: element.Err}).Error()
		lost := &bus.Error{Code: bus.Lost, RPC: element.RPC, MayHaveRun: true, Message: text}
		if !bus.IsElement(element.Err) { // what ends a stream must not look like an update's error
			lost.Err = element.Err
		}
		return lost
	})
}

// MapErrors returns f with m applied to its errors and to those of its updates.
// Where m turns one after which the stream would go on into one that ends it,
// the stream ends.
func (f Func[Q, S, U]) MapErrors(m func(error) error) Func[Q, S, U] {
	return Func[Q, S, U](streamrpc.MapErrors(streamrpc.Func[Q, S, U](f), m))
}

// First is used by versioned families; see unaryrpc.Func.First.
func (Func[Q, S, U]) First(next func(ctx context.Context, after int) (Func[Q, S, U], int, error)) Func[Q, S, U] {
	return func(ctx context.Context, q Q) (state S, updates iter.Seq2[U, error], err error) {
		for i := -1; ; {
			f, n, none := next(ctx, i)
			if none != nil {
				return state, nil, none
			}
			if state, updates, err = f(ctx, q); !bus.SaysUnserved(err) {
				return state, updates, err
			}
			i = n
		}
	}
}
