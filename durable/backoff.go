// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
	"time"

	"github.com/durabus/durabus/bus"
)

// A stream that lasted this long shows that all is well again.
const stable = time.Second

// A backoff counts the failures of one durable stream and waits after them.
type backoff struct {
	policy Policy
	since  time.Time // of the last Connected or Resumed
	losses int       // of streams, since the last stable one, its own included
	failed int       // attempts since the last loss
	silent bool      // the last of them got no answer, and was not counted
}

func (b *backoff) connected() { b.since = time.Now() }

// lost counts the loss of the stream and reports whether it was a stable one.
func (b *backoff) lost() bool {
	lasted := time.Since(b.since) >= stable
	if lasted {
		b.losses = 0
	}
	b.losses++
	b.failed = 0
	return lasted
}

// pause waits before the next attempt, after end. It reports whether ctx is
// still in force.
func (b *backoff) pause(ctx context.Context, end ending) bool {
	if b.silent = b.unanswered(end); b.silent {
		b.failed--
		return sleep(ctx, b.policy.spread(0))
	}
	n := b.losses + b.failed
	switch {
	case end.kind == Attempting && b.losses == 1, n == 1 && codeOf(end.err) == bus.Draining:
		return ctx.Err() == nil
	case end.permanent():
		n = max(n, longestAt)
	}
	wait := time.NewTimer(b.policy.wait(n))
	defer wait.Stop()
	select {
	case <-wait.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	case <-again(end.err):
	}
	spread := time.NewTimer(b.policy.spread(b.losses - 1))
	defer spread.Stop()
	select {
	case <-wait.C:
	case <-spread.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// unanswered reports whether end is the first of two attempts in a row that got
// no answer. The responder that took it may be the only one that is cut off, so
// that another is asked soon.
func (b *backoff) unanswered(end ending) bool {
	return end.kind == FailedToConnect && codeOf(end.err) == bus.NoAnswer && !b.silent
}

// sleep waits for d and reports whether ctx is still in force.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// An ending is how a stream ended or an attempt failed.
type ending struct {
	kind Kind // Lost, FailedToConnect or Rejected; Attempting: not resumed, to be opened anew
	err  error
}

// permanent reports whether another attempt is unlikely to fare better.
func (e ending) permanent() bool {
	switch e.kind {
	case Rejected:
		return true
	case FailedToConnect:
		switch codeOf(e.err) {
		case bus.Invalid, bus.Unauthorized, bus.Denied, bus.TooLarge, bus.Undecodable, bus.Inconvertible:
			return true
		}
	}
	return false
}

// codeOf returns the outermost code of err: that of the call itself, and not of
// a call that its handler made.
func codeOf(err error) bus.Code {
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return e.Code
	}
	c, _ := errors.AsType[bus.Code](err)
	return c
}

// again is closed when a retry may succeed; nil if err does not know.
func again(err error) <-chan struct{} {
	if e, ok := errors.AsType[*bus.Error](err); ok {
		return e.Again
	}
	return nil
}
