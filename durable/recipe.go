// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/durabus/durabus/bus"
)

// A Recipe says how a [Value] is made, seen to be broken, and mended. Create is
// needed, the others may be nil. A panic of Create or Rebuild is an error of that
// attempt ([bus.Panicked]), and its trace is logged.
type Recipe[T any] struct {
	// Create makes a value. Its context is done once nobody waits for it, and has
	// no values: it belongs to no user in particular.
	Create func(ctx context.Context) (T, error)

	// Broken reports that a value is of no use. It is asked at each use, last of
	// all, by several goroutines at once, and must not wait. Nil means that none
	// ever breaks.
	Broken func(T) bool

	// Rebuild mends a broken value, or returns another, for which it owns the
	// broken one. If it fails the broken one is discarded. Nil means to discard and
	// create. Its context is like that of Create.
	Rebuild func(ctx context.Context, broken T) (T, error)

	// Discard releases what a value holds when it is no longer offered: it could
	// not be mended, is replaced, or the Value is closed. Users may still have it.
	// Nil means that it holds nothing.
	Discard func(T)
}

func (r Recipe[T]) broken(value T) bool { return r.Broken != nil && r.Broken(value) }

func (r Recipe[T]) discard(value T) {
	if r.Discard != nil {
		r.Discard(value)
	}
}

// create makes a value that is not broken.
func (r Recipe[T]) create(ctx context.Context) (T, error) {
	if r.Create == nil {
		var none T
		return none, &bus.Error{Code: bus.Invalid, Message: "durable: a Recipe needs Create"}
	}
	return r.checked(r.Create(ctx))
}

// rebuild makes an intact value out of a broken one, or instead of it.
func (r Recipe[T]) rebuild(ctx context.Context, broken T) (value T, err error) {
	if r.Rebuild == nil {
		r.discard(broken)
		return r.create(ctx)
	}
	mended := false
	defer func() {
		if !mended { // Rebuild failed, or panicked
			r.discard(broken)
		}
	}()
	value, err = r.Rebuild(ctx, broken)
	mended = err == nil
	return r.checked(value, err)
}

// checked discards a value that is broken already.
func (r Recipe[T]) checked(value T, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	intact := false
	defer func() {
		if !intact { // or Broken panicked
			r.discard(value)
		}
	}()
	if intact = !r.broken(value); !intact {
		return none, ErrBroken
	}
	return value, nil
}

// panicked is the error that stands for a panic of what. It is called by the
// function that recovered.
func panicked(what string, p any) error {
	slog.Error("durable: "+what+" panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return &bus.Error{Code: bus.Panicked, Message: fmt.Sprintf("%s: %v; the trace is in this process's log", what, p)}
}
