// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"sync"
	"time"
)

// OnFirst calls seen once for each version that is really served, and not again:
// put it on a service to learn which versions may be pruned. A call that was
// refused before its handler ran does not count: nobody served it. Seen runs on
// the goroutine of the call, after its verdict.
func OnFirst(seen func(Description)) Middleware {
	var known sync.Map
	return func(next CallFunc) CallFunc {
		return func(ctx context.Context, c Call) (Reply, error) {
			r, err := next(ctx, c)
			if _, ok := known.Load(c.Description); !ok && mayHaveRun(err) {
				if _, ok := known.LoadOrStore(c.Description, true); !ok {
					seen(c.Description)
				}
			}
			return r, err
		}
	}
}

// mayHaveRun reports whether the handler may have run, by what came of the call.
func mayHaveRun(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.MayHaveRun
	}
	return !errors.Is(err, Unauthorized) && !errors.Is(err, Busy) && !errors.Is(err, Draining)
}

// Retry repeats calls whose handler certainly did not run, and calls of
// idempotent RPCs that got no answer, at most attempts times in all and while
// ctx allows. It waits wait(n) after attempt n, less where [Error.Again] says
// so. It does not repeat a stream that has begun.
func Retry(attempts int, wait func(attempt int) time.Duration) Middleware {
	return func(next CallFunc) CallFunc {
		return func(ctx context.Context, c Call) (r Reply, err error) {
			for n := 1; ; n++ {
				r, err = next(ctx, c)
				e, ok := errors.AsType[*Error](err)
				if err == nil || n >= attempts || !ok || !e.retryable(c.Idempotent) {
					return r, err
				}
				timer := time.NewTimer(wait(n))
				select {
				case <-timer.C:
				case <-e.Again:
				case <-ctx.Done():
				}
				timer.Stop()
				if ctx.Err() != nil {
					return r, err
				}
			}
		}
	}
}

func (e *Error) retryable(idempotent bool) bool {
	switch e.Code {
	case NoResponder, Busy, Draining, Disconnected, Gone, NoAnswer:
		return idempotent || !e.MayHaveRun
	}
	return false
}
