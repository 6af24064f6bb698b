// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"iter"

	"github.com/durabus/durabus/bus"
)

// Convert applies f to updates and errs to the error that ends them.
func Convert[A, B any](updates iter.Seq2[A, error], f func(A) B, errs []bus.ErrorMap) iter.Seq2[B, error] {
	if updates == nil {
		return nil
	}
	return func(yield func(B, error) bool) {
		for a, err := range updates {
			var b B
			switch {
			case err == nil:
				b = f(a)
			case bus.EndsStream(err):
				err = bus.MapErrors(err, errs...)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// Map applies f to updates. Where f fails, an ElementError stands for the update
// and the stream goes on.
func Map[A, B any](updates iter.Seq2[A, error], f func(A) (B, error)) iter.Seq2[B, error] {
	if updates == nil {
		return nil
	}
	return func(yield func(B, error) bool) {
		for a, err := range updates {
			var b B
			if err == nil {
				if b, err = f(a); err != nil {
					err = &bus.ElementError{Err: err}
				}
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// Split applies f to updates; f yields as many for each as it likes.
func Split[A, B any](updates iter.Seq2[A, error], f func(a A, yield func(B) bool) error) iter.Seq2[B, error] {
	if updates == nil {
		return nil
	}
	return func(yield func(B, error) bool) {
		more := true
		part := func(b B) bool {
			more = more && yield(b, nil)
			return more
		}
		for a, err := range updates {
			if err == nil {
				if err = f(a, part); err != nil {
					err = &bus.ElementError{Err: err}
				}
			}
			if err != nil && more {
				var b B
				more = yield(b, err)
			}
			if !more {
				return
			}
		}
	}
}

// MapErrors returns f with m applied to its errors and to those among its
// updates, which are not nil where it returns no error.
func MapErrors[Q, S, U any](f Func[Q, S, U], m func(error) error) Func[Q, S, U] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, q Q) (S, iter.Seq2[U, error], error) {
		s, updates, err := f(ctx, q)
		if err != nil {
			return s, nil, m(err)
		}
		return s, mapErrors(updates, m), nil
	}
}

// none is what nil updates are: a loop over nil itself panics.
func none[U any](func(U, error) bool) {}

func mapErrors[U any](updates iter.Seq2[U, error], m func(error) error) iter.Seq2[U, error] {
	if updates == nil {
		return none[U]
	}
	return func(yield func(U, error) bool) {
		for u, err := range updates {
			if err != nil {
				err = m(err)
			}
			if !yield(u, err) || bus.EndsStream(err) {
				return
			}
		}
	}
}
