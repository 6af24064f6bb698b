// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"sync"
	"time"
)

// A jobContext is the context of one call's handler. Most handlers of short
// calls never look at it, so what costs is made when somebody does: the
// [Incoming], and the context of the standard library that it stands for, which
// is all that contexts derived from it see.
type jobContext struct {
	job      *job
	deadline time.Time // zero is none

	mu     sync.Mutex // guards the fields below
	in     *Incoming
	ctx    context.Context // nil until somebody asks
	cancel context.CancelCauseFunc
	ended  bool
	cause  error // why
}

// end ends the context. The first cause stays; nil is that the job is over.
func (c *jobContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.cause = true, cause
	if c.ctx != nil {
		c.cancel(cause)
	}
}

// full returns the context that c stands for.
func (c *jobContext) full() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx != nil {
		return c.ctx
	}
	if c.deadline.IsZero() {
		c.ctx, c.cancel = context.WithCancelCause(c.job.srv.ctx)
	} else {
		timed, stop := context.WithDeadline(c.job.srv.ctx, c.deadline)
		ctx, cancel := context.WithCancelCause(timed)
		c.ctx, c.cancel = ctx, func(cause error) { cancel(cause); stop() }
	}
	if c.ended {
		c.cancel(c.cause)
	}
	return c.ctx
}

// incoming returns what the handler has asked for, or nil.
func (c *jobContext) incoming() *Incoming {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in
}

// past reports whether the deadline has passed.
func (c *jobContext) past() bool { return !c.deadline.IsZero() && !time.Now().Before(c.deadline) }

// Deadline implements [context.Context].
func (c *jobContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements [context.Context].
func (c *jobContext) Done() <-chan struct{} { return c.full().Done() }

// Err implements [context.Context].
func (c *jobContext) Err() error {
	c.mu.Lock()
	alive := c.ctx == nil && !c.ended && c.job.srv.ctx.Err() == nil && (c.deadline.IsZero() || time.Now().Before(c.deadline))
	c.mu.Unlock()
	if alive {
		return nil
	}
	return c.full().Err()
}

// Value implements [context.Context].
func (c *jobContext) Value(key any) any {
	if key != any(incomingKey{}) {
		return c.full().Value(key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in == nil {
		j := c.job
		c.in = &Incoming{RPC: j.call.Description, CallID: j.callID(), Metadata: j.call.Metadata, Identity: j.srv.svc.Identity, Reply: Metadata{}}
	}
	return c.in
}
