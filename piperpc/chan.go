// SPDX-License-Identifier: Apache-2.0

package piperpc

import (
	"context"
	"iter"
)

// An Item is an update or an error, as a loop over updates has them.
type Item[U any] struct {
	Update U
	Err    error
}

// Chan moves updates, of a pipe or of a state, into a channel for select. The
// channel has no buffer, and is closed when the updates end or ctx is done; only
// while ctx is not done does a closed channel mean that all was received.
//
// A goroutine does it, which ends with the updates or with ctx. Let ctx be the
// context that the updates were opened with, since their own waiting ends with
// nothing else, and end it when nobody receives any more.
func Chan[U any](ctx context.Context, updates iter.Seq2[U, error]) <-chan Item[U] {
	c := make(chan Item[U])
	go func() {
		defer close(c)
		if updates == nil {
			return
		}
		for u, err := range updates {
			select {
			case c <- Item[U]{u, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return c
}
