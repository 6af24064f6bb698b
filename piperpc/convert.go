// SPDX-License-Identifier: Apache-2.0

package piperpc

import (
	"context"
	"iter"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/streamrpc"
)

// Convert returns a conversion between Funcs of two versions; see
// unaryrpc.Convert. Errors are converted at opening and at the end of the
// updates. For an update that may fail, be dropped or become several, write the
// conversion out with [Map] or [Split].
func Convert[Q1, U1, Q, U any](query func(Q) Q1, update func(U1) U, errs ...bus.ErrorMap) func(Func[Q1, U1]) Func[Q, U] {
	return func(f Func[Q1, U1]) Func[Q, U] {
		if f == nil {
			return nil
		}
		return func(ctx context.Context, q Q) (iter.Seq2[U, error], error) {
			updates, err := f(ctx, query(q))
			if err != nil {
				return nil, bus.MapErrors(err, errs...)
			}
			return streamrpc.Convert(updates, update, errs), nil
		}
	}
}

// Map applies f to updates, of a pipe or of a state. Where f fails, a
// [bus.ElementError] stands for the update and the stream goes on.
func Map[A, B any](updates iter.Seq2[A, error], f func(A) (B, error)) iter.Seq2[B, error] {
	return streamrpc.Map(updates, f)
}

// Split applies f to updates, of a pipe or of a state; f yields none, one or
// many for each, and stops when yield reports false. Where f fails, a
// [bus.ElementError] follows what it yielded and the stream goes on.
func Split[A, B any](updates iter.Seq2[A, error], f func(a A, yield func(B) bool) error) iter.Seq2[B, error] {
	return streamrpc.Split(updates, f)
}

// MapErrors returns f with m applied to its errors and to those of its updates.
func (f Func[Q, U]) MapErrors(m func(error) error) Func[Q, U] {
	return pipe(streamrpc.MapErrors(f.stream(), m))
}

// First is used by versioned families; see unaryrpc.Func.First.
func (Func[Q, U]) First(next func(ctx context.Context, after int) (Func[Q, U], int, error)) Func[Q, U] {
	return func(ctx context.Context, q Q) (updates iter.Seq2[U, error], err error) {
		for i := -1; ; {
			f, n, none := next(ctx, i)
			if none != nil {
				return nil, none
			}
			if updates, err = f(ctx, q); !bus.SaysUnserved(err) {
				return updates, err
			}
			i = n
		}
	}
}
