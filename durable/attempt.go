// SPDX-License-Identifier: Apache-2.0

package durable

import "context"

// An attempt is one try to have an intact value. It has a goroutine of its own,
// so that each of its users may give up, and ends before the Value's Close does.
type attempt[T any] struct {
	cancel    context.CancelFunc
	users     int  // who wait; under Value.mu
	abandoned bool // by all of them; not written once done is closed
	value     T
	err       error
	done      chan struct{} // closed when value and err are set
}

// join returns the attempt to wait for, a new one if there is none; or nil if
// the value is no longer that of epoch.
func (v *Value[T]) join(epoch uint64) (*attempt[T], error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.closed:
		return nil, ErrClosed
	case v.making != nil:
	case v.epoch != epoch:
		return nil, nil
	default:
		v.begin()
	}
	v.making.users++
	return v.making, nil
}

// leave gives up waiting for a, and ends it if nobody else does.
func (v *Value[T]) leave(a *attempt[T]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a.users--
	if a.users == 0 && v.making == a {
		a.abandoned = true
		a.cancel()
	}
}

// begin starts an attempt, which owns the broken value, if there is one.
func (v *Value[T]) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attempt[T]{cancel: cancel, done: make(chan struct{})}
	broken, there := v.value, v.there
	v.drop()
	v.making = a
	go func() {
		defer v.settle(a) // after runtime.Goexit too
		a.run(ctx, v.recipe, broken, there)
	}()
}

func (a *attempt[T]) run(ctx context.Context, r Recipe[T], broken T, there bool) {
	defer a.cancel()
	a.err = errExited
	defer func() {
		if p := recover(); p != nil {
			a.err = panicked("making a value", p)
		}
	}()
	if there {
		a.value, a.err = r.rebuild(ctx, broken)
	} else {
		a.value, a.err = r.create(ctx)
	}
}

// settle ends the attempt.
func (v *Value[T]) settle(a *attempt[T]) {
	v.mu.Lock()
	v.making = nil
	late := v.closed && a.err == nil
	switch {
	case v.closed:
		a.err = ErrClosed
	case a.err == nil:
		v.value, v.there = a.value, true
		v.epoch++
		v.tell(true)
	}
	v.mu.Unlock()
	if late {
		v.recipe.discard(a.value)
	}
	close(a.done)
}
