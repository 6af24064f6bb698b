// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"context"
	"iter"
	"runtime"

	"github.com/durabus/durabus/bus"
)

// Conflate returns f with updates that are merged while their reader is busy; see
// staterpc.Conflate.
func Conflate[Q, S, U any](f Func[Q, S, U], merge func(older, newer U) U) Func[Q, S, U] {
	if f == nil || merge == nil {
		return nil
	}
	return func(ctx context.Context, q Q) (first S, _ iter.Seq2[U, error], err error) {
		ctx, cancel := context.WithCancel(ctx)
		open := false
		defer func() {
			if !open { // refused, without updates, or f panicked
				cancel()
			}
		}()
		ctx, ahead := bus.TakenAhead(ctx)
		first, updates, err := f(ctx, q)
		if err != nil || updates == nil {
			return first, nil, err
		}
		open = true
		return first, SingleUse(bus.Description{}, func(yield func(U, error) bool) {
			c := conflation[U]{
				merge: merge, ahead: ahead, cancel: cancel, slot: make(chan taken[U], 1), left: make(chan struct{}),
			}
			go c.take(updates) // read waits for its end
			c.read(yield)
		}), nil
	}
}

// A conflation is one loop. Its goroutine takes what comes and puts it into the
// slot; an update that still lies there is taken out again and merged with the next.
type conflation[U any] struct {
	merge  func(older, newer U) U
	ahead  *bus.Ahead
	cancel context.CancelFunc // ends what the goroutine may be waiting for
	slot   chan taken[U]      // of one; closed when the goroutine is at its end
	left   chan struct{}      // closed when the reader has left

	// How the goroutine ended, if not by a return. The reader looks when slot is
	// closed.
	exited   bool // by a panic or by runtime.Goexit, for which there is no
	panicked any
}

type taken[U any] struct {
	update U
	err    error
}

// take is the goroutine.
func (c *conflation[U]) take(updates iter.Seq2[U, error]) {
	c.exited = true
	defer close(c.slot)
	defer func() {
		if c.panicked = recover(); c.panicked != nil {
			panics.log(c.panicked)
		}
	}()
	c.fill(updates)
	c.exited = false
}

func (c *conflation[U]) fill(updates iter.Seq2[U, error]) {
	merges := false // what lies in the slot, if anything does
	for u, err := range updates {
		select {
		case <-c.left:
			return
		default:
		}
		if err == nil && merges {
			select {
			case older := <-c.slot:
				c.slot <- taken[U]{update: c.merge(older.update, u)}
				continue
			default:
			}
		}
		c.ahead.Tells(err)
		if stands(err) {
			c.ahead.Took()
		}
		c.slot <- taken[U]{u, err} // waits for the reader, who empties it to leave
		merges = err == nil
	}
}

// read yields what is taken. Whichever way it ends, the goroutine has ended before.
func (c *conflation[U]) read(yield func(U, error) bool) {
	whole := false // the loop was not left by a panic of its body, which comes first
	defer func() {
		close(c.left)
		c.cancel()
		for range c.slot {
		}
		switch {
		case !whole || !c.exited:
		case c.panicked != nil:
			panic(c.panicked)
		default:
			runtime.Goexit()
		}
	}()
	for t := range c.slot {
		if !yield(t.update, t.err) || bus.EndsStream(t.err) {
			break
		}
		if stands(t.err) {
			c.ahead.Read()
		}
	}
	whole = true
}

// stands reports whether what comes with err has a place among the updates.
func stands(err error) bool { return err == nil || bus.IsElement(err) }
