// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"iter"
	"sync"

	"github.com/durabus/durabus/bus"
)

// A Writer is the sending end of a stream whose updates are pushed. It may be
// used by several goroutines; the updates of each arrive in its order. It holds
// at most its backlog of updates and needs no closing once its context is done.
type Writer[U any] struct {
	ctx  context.Context
	room chan struct{} // one token for each update in queue, or about to be
	wake chan struct{} // of one: something changed that the reader may wait for
	end  chan struct{} // closed with the Writer

	mu     sync.Mutex // guards the fields below
	queue  []U
	closed bool
	err    error
}

// NewWriter returns a Writer whose reader may be backlog updates behind, at
// least one, and is there until ctx is done.
func NewWriter[U any](ctx context.Context, backlog int) *Writer[U] {
	return &Writer[U]{
		ctx:  ctx,
		room: make(chan struct{}, max(backlog, 1)),
		wake: make(chan struct{}, 1),
		end:  make(chan struct{}),
	}
}

// Send sends u after the updates before it. It waits while the backlog is full,
// and reports false once nobody will read u: the Writer is closed, the reader
// stopped, or the context of the call is done. Nobody reads before the function
// given to Push has returned, so that a Send of more than the backlog in it
// waits until that context is done.
func (w *Writer[U]) Send(u U) bool {
	select {
	case w.room <- struct{}{}:
		return w.put(u)
	case <-w.end:
	case <-w.ctx.Done():
	}
	return false
}

// Offer is Send for callbacks that must not wait: it reports false also if the
// backlog is full.
func (w *Writer[U]) Offer(u U) bool {
	select {
	case w.room <- struct{}{}:
		return w.put(u)
	default:
		return false
	}
}

// put queues u, for which the caller has a token.
func (w *Writer[U]) put(u U) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.ctx.Err() != nil {
		return false
	}
	w.queue = append(w.queue, u)
	w.changed()
	return true
}

// Close ends the stream after the updates already sent, with err or, if it is
// nil, cleanly. Only the first Close counts.
func (w *Writer[U]) Close(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed, w.err = true, err
	close(w.end)
	w.changed()
}

func (w *Writer[U]) changed() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Updates returns what is sent; its loop closes the Writer when it ends.
func (w *Writer[U]) Updates() iter.Seq2[U, error] {
	return SingleUse(bus.Description{}, func(yield func(U, error) bool) {
		defer w.Close(nil)
		var none U
		var batch []U
		for {
			var closed bool
			var err error
			batch, closed, err = w.take(batch)
			for i, u := range batch {
				batch[i] = none // what is read must not live as long as the stream
				<-w.room
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
			case <-w.wake:
			case <-w.ctx.Done():
				yield(none, context.Cause(w.ctx))
				return
			}
		}
	})
}

// take gives the queue for batch, which is empty but for its memory.
func (w *Writer[U]) take(batch []U) (queue []U, closed bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue, w.queue = w.queue, batch[:0]
	return queue, w.closed, w.err
}

// Push returns a Func whose updates are what f writes. If f fails, or panics,
// its Writer is closed and what it wrote is dropped.
func Push[Q, S, U any](backlog int, f func(context.Context, Q, *Writer[U]) (S, error)) Func[Q, S, U] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, q Q) (first S, updates iter.Seq2[U, error], err error) {
		w := NewWriter[U](ctx, backlog)
		defer func() {
			if updates == nil {
				w.Close(nil)
			}
		}()
		if first, err = f(ctx, q, w); err != nil {
			return first, nil, err
		}
		return first, w.Updates(), nil
	}
}
