// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"iter"
)

// Intact yields whether there is a value that is not known to be broken: as it
// is now, then each change, until ctx is done or the Value is closed. What breaks
// by itself is known to be broken from the next use or [Value.Check]. A loop that
// is slow misses changes in pairs, but never the last, nor that there were any.
func (v *Value[T]) Intact(ctx context.Context) iter.Seq[bool] {
	return func(yield func(bool) bool) {
		latest, changed := v.changes()
		for seen := latest; ctx.Err() == nil && yield(seen%2 == 1); {
			for latest == seen {
				if changed == nil {
					return
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
				latest, changed = v.changes()
			}
			seen = nextChange(seen, latest)
		}
	}
}

// nextChange is the change to tell after seen: pairs are skipped, so that this one
// and at most one more are left.
func nextChange(seen, latest uint64) uint64 {
	return seen + (latest-seen-1)&^1 + 1
}

// changes returns how many changes there were, and what is closed at the next; nil
// if there will be none.
func (v *Value[T]) changes() (n uint64, changed <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return v.intact, nil
	}
	return v.intact, v.changed
}

// tell notes whether the value is intact. The caller holds v.mu.
func (v *Value[T]) tell(intact bool) {
	if intact == (v.intact%2 == 1) {
		return
	}
	v.intact++
	close(v.changed)
	v.changed = make(chan struct{})
}
