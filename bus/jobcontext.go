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
	metadata Metadata      // of the call
	expires  time.Duration // on the server's clock; 0 is never

	mu     sync.Mutex // guards the fields below
	ended  bool
	cause  error     // why
	source *Source   // of a stream, whose job alone changes it; nil where there is none
	in     *Incoming // nil until somebody asks, as the next two
	ctx    context.Context
	cancel context.CancelCauseFunc
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
	if deadline, ok := c.Deadline(); !ok {
		c.ctx, c.cancel = context.WithCancelCause(c.job.srv.ctx)
	} else {
		timed, stop := context.WithDeadline(c.job.srv.ctx, deadline)
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
func (c *jobContext) past() bool { return c.expires != 0 && c.job.srv.now() >= c.expires }

// forgetSource lets go of a source that updates do not come of.
func (c *jobContext) forgetSource() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = nil
}

// Deadline implements [context.Context].
func (c *jobContext) Deadline() (deadline time.Time, ok bool) {
	if c.expires == 0 {
		return deadline, false
	}
	return c.job.srv.start.Add(c.expires), true
}

// Done implements [context.Context].
func (c *jobContext) Done() <-chan struct{} { return c.full().Done() }

// Err implements [context.Context].
func (c *jobContext) Err() error {
	c.mu.Lock()
	alive := c.ctx == nil && !c.ended && c.job.srv.ctx.Err() == nil && !c.past()
	c.mu.Unlock()
	if alive {
		return nil
	}
	return c.full().Err()
}

// Value implements [context.Context].
func (c *jobContext) Value(key any) any {
	switch key.(type) {
	case incomingKey:
		return c.call()
	case sourceKey:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.source
	}
	return c.full().Value(key)
}

func (c *jobContext) call() *Incoming {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in == nil {
		j := c.job
		c.in = &Incoming{RPC: j.point.Description, CallID: j.callID(), Metadata: c.metadata, Identity: j.srv.svc.Identity, Reply: Metadata{}}
	}
	return c.in
}
