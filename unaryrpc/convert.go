// SPDX-License-Identifier: Apache-2.0

package unaryrpc

import (
	"context"

	"github.com/durabus/durabus/bus"
)

// Convert returns a conversion between Funcs of two versions. It turns the query
// that it is given into a Q1, and the R1 and the errors that come back into
// theirs. Applied to a client of version 1 it calls version 1 in your types;
// applied to an implementation it serves that in version 1's types.
//
// A conversion is an ordinary function of type func(Func[Q1, R1]) Func[Q, R].
// Where it may fail or needs the query to convert the answer, write it out.
func Convert[Q1, R1, Q, R any](query func(Q) Q1, answer func(R1) R, errs ...bus.ErrorMap) func(Func[Q1, R1]) Func[Q, R] {
	return func(f Func[Q1, R1]) Func[Q, R] {
		if f == nil {
			return nil
		}
		return func(ctx context.Context, q Q) (r R, err error) {
			r1, err := f(ctx, query(q))
			if err != nil {
				return r, bus.MapErrors(err, errs...)
			}
			return answer(r1), nil
		}
	}
}

// MapErrors returns f with m applied to its errors.
func (f Func[Q, R]) MapErrors(m func(error) error) Func[Q, R] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, q Q) (R, error) {
		r, err := f(ctx, q)
		if err != nil {
			err = m(err)
		}
		return r, err
	}
}

// First returns a Func that uses the first of the candidates that is served;
// next gives the candidate after one, from -1, or the reason why there is none.
// It is what versioned families are made of.
func (Func[Q, R]) First(next func(ctx context.Context, after int) (Func[Q, R], int, error)) Func[Q, R] {
	return func(ctx context.Context, q Q) (r R, err error) {
		for i := -1; ; {
			f, n, none := next(ctx, i)
			if none != nil {
				return r, none
			}
			if r, err = f(ctx, q); !bus.SaysUnserved(err) {
				return r, err
			}
			i = n
		}
	}
}
