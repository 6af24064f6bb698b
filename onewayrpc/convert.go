// SPDX-License-Identifier: Apache-2.0

package onewayrpc

import (
	"context"

	"github.com/durabus/durabus/bus"
)

// Convert returns a conversion between Funcs of two versions; see
// unaryrpc.Convert.
func Convert[M1, M any](message func(M) M1) func(Func[M1]) Func[M] {
	return func(f Func[M1]) Func[M] {
		if f == nil {
			return nil
		}
		return func(ctx context.Context, m M) error { return f(ctx, message(m)) }
	}
}

// MapErrors returns f with m applied to its errors.
func (f Func[M]) MapErrors(m func(error) error) Func[M] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, message M) error {
		err := f(ctx, message)
		if err != nil {
			err = m(err)
		}
		return err
	}
}

// First is used by versioned families; see unaryrpc.Func.First.
func (Func[M]) First(next func(ctx context.Context, after int) (Func[M], int, error)) Func[M] {
	return func(ctx context.Context, m M) error {
		for i := -1; ; {
			f, n, none := next(ctx, i)
			if none != nil {
				return none
			}
			if err := f(ctx, m); !bus.SaysUnserved(err) {
				return err
			}
			i = n
		}
	}
}
