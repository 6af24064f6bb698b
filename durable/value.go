// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrBroken is the error of a use for which a value was made that was broken
// from the start.
var ErrBroken = errors.New("durable: the value was broken as soon as it was made")

// ErrClosed is the error of every use of a [Value] after its Close, and of a
// [Replica] that was closed.
var ErrClosed = errors.New("durable: closed")

// A Value is made when it is first used and made again when it has broken: a
// connection, a session, a file. It may be used by several goroutines.
type Value[T any] struct {
	recipe Recipe[T]

	mu      sync.Mutex // guards the fields below; none of the recipe's functions runs under it
	value   T          // if there is one
	there   bool
	epoch   uint64      // counts the changes of value and there
	making  *attempt[T] // the attempt under way, whose users wait for it
	closed  bool
	intact  uint64        // counts its changes: odd means intact
	changed chan struct{} // closed at the next of them, and at Close
}

// NewValue returns a value to be made as r says when it is first used. Who no
// longer needs it closes it.
func NewValue[T any](r Recipe[T]) *Value[T] {
	return &Value[T]{recipe: r, changed: make(chan struct{})}
}

// NewValueOrFail returns a value that has been made, or the error that [Value.Get]
// would have returned.
func NewValueOrFail[T any](ctx context.Context, r Recipe[T]) (*Value[T], error) {
	v := NewValue(r)
	if _, err := v.Get(ctx); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// Get returns the value, which was not broken a moment ago. One that is missing
// is created, and one that is broken rebuilt, before Get returns; who comes
// meanwhile waits for the same attempt and has the same result. An attempt that
// fails, or whose value is broken at once ([ErrBroken]), leaves no value: the next
// use creates one.
//
// An attempt goes on until none of those who wait for it is left, each with a
// ctx of its own. Get returns ctx's cause if that is done first.
func (v *Value[T]) Get(ctx context.Context) (T, error) {
	for {
		if ctx.Err() != nil {
			return v.gaveUp(ctx)
		}
		value, epoch, intact := v.look()
		if intact {
			return value, nil
		}
		a, err := v.join(epoch)
		if err != nil {
			return value, err
		}
		if a == nil { // another user has the value mended
			continue
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			v.leave(a)
			return v.gaveUp(ctx)
		}
		if !a.abandoned { // by those who came before
			return a.value, a.err
		}
	}
}

func (v *Value[T]) gaveUp(ctx context.Context) (none T, err error) {
	return none, fmt.Errorf("durable: no longer waiting for the value: %w", context.Cause(ctx))
}

// Check reports whether there is a value that is not broken, and makes none. Who
// knows of something that may have broken the value, such as a change of a
// connection's status, calls it, so that [Value.Intact] tells without a use.
func (v *Value[T]) Check() bool {
	_, _, intact := v.look()
	return intact
}

// look returns the value there is, in which epoch, and whether it is intact.
func (v *Value[T]) look() (value T, epoch uint64, intact bool) {
	v.mu.Lock()
	value, epoch, intact = v.value, v.epoch, v.there
	v.mu.Unlock()
	intact = intact && !v.recipe.broken(value)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.epoch == epoch {
		v.tell(intact)
	}
	if !intact {
		var none T
		value = none
	}
	return value, epoch, intact
}

// Close makes the value unusable: it ends an attempt under way, waits for it, and
// discards the value. It must not be called by the functions of the recipe.
func (v *Value[T]) Close() {
	v.mu.Lock()
	value, there, a := v.value, v.there, v.making
	v.drop()
	if !v.closed {
		v.closed = true
		v.tell(false)
		close(v.changed)
	}
	v.mu.Unlock()
	if a != nil {
		a.cancel()
		<-a.done
	}
	if there {
		v.recipe.discard(value)
	}
}

// drop leaves no value. The caller owns what there was.
func (v *Value[T]) drop() {
	var none T
	v.value, v.there = none, false
	v.epoch++
}
