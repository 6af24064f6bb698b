// SPDX-License-Identifier: Apache-2.0

package staterpc

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
)

// A tail is what one watcher of a Publisher has not read yet. Who publishes never
// waits for it, so that it needs a lock for each update, and no more.
type tail[U any] struct {
	ctx     context.Context
	backlog int
	wake    chan struct{} // of one: something came to an empty queue, or the end
	unread  atomic.Int64  // of what the reader has taken at once
	place   int           // among the Publisher's watchers, which guards it; -1 once it is off them

	mu     sync.Mutex // guards the fields below
	queue  []U
	closed bool
	err    error
}

func newTail[U any](ctx context.Context, backlog int) *tail[U] {
	return &tail[U]{ctx: ctx, backlog: max(backlog, 1), wake: make(chan struct{}, 1)}
}

// offer adds u, or reports false if there is no room.
func (t *tail[U]) offer(u U) bool {
	t.mu.Lock()
	if t.closed || len(t.queue)+int(t.unread.Load()) >= t.backlog {
		t.mu.Unlock()
		return false
	}
	t.queue = append(t.queue, u)
	first := len(t.queue) == 1
	t.mu.Unlock()
	if first {
		t.changed()
	}
	return true
}

// close ends the tail after what is in it, with err or, if it is nil, cleanly.
// Only the first close counts.
func (t *tail[U]) close(err error) {
	t.mu.Lock()
	if !t.closed {
		t.closed, t.err = true, err
	}
	t.mu.Unlock()
	t.changed()
}

func (t *tail[U]) changed() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// updates returns what is offered, for one loop, which closes the tail when it ends.
func (t *tail[U]) updates() iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		defer t.close(nil)
		var none U
		for batch := []U(nil); ; {
			var closed bool
			var err error
			batch, closed, err = t.take(batch)
			for i, u := range batch {
				batch[i] = none // what is read must not live as long as the stream
				t.unread.Add(-1)
				if !yield(u, nil) {
					return
				}
			}
			if closed && err != nil {
				yield(none, err)
			}
			if closed {
				return
			}
			select {
			case <-t.wake:
			case <-t.ctx.Done():
				yield(none, context.Cause(t.ctx))
				return
			}
		}
	}
}

// take gives the queue for batch, which is empty but for its memory.
func (t *tail[U]) take(batch []U) (queue []U, closed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	queue, t.queue = t.queue, batch[:0]
	t.unread.Store(int64(len(queue)))
	return queue, t.closed, t.err
}
