// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"time"
)

// A stopped process (SIGSTOP) takes nothing, sends nothing and does not tick. Its
// connection stays: what is for it waits, at the broker if it is more than the way
// holds. What it was about to do it does when it goes on, late.
//
// Its timers other than the engine's tick go off while it is stopped, for time is
// common to all; but nobody hears of that, since what they send waits too. Its
// workloads wait by [conn.wait], which does not return meanwhile.
type stopped struct {
	until time.Time
	on    chan struct{} // closed when the process goes on
	held  []func()      // what reached it meanwhile, in order
	node  int           // to connect to then, if the broker cuts it
	cut   bool
}

// wakes is the time in which all that was held comes, before what was sent later.
const wakes = 100 * time.Microsecond

// stop stops the process until a moment, unless it is stopped or dead.
func (c *conn) stop(until time.Time) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.stopped != nil || c.dead {
		return
	}
	c.net.trace.note(c.name, "stopped", "for", time.Until(until))
	c.stopped = &stopped{until: until, on: make(chan struct{})}
	for _, l := range []*line{c.up, c.down, c.told} {
		l.hangs = later(l.hangs, until.Add(wakes))
	}
	c.disturb(until.Add(wakes))
	time.AfterFunc(time.Until(until), c.goOn)
}

// goOn undoes stop. What was held comes in a nanosecond of its own.
func (c *conn) goOn() {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	s := c.stopped
	if s == nil {
		return
	}
	c.net.trace.note(c.name, "goes on")
	c.stopped = nil
	close(s.on)
	for n, do := range s.held {
		time.AfterFunc(time.Duration(n+1), func() {
			c.net.mu.Lock()
			defer c.net.mu.Unlock()
			do()
		})
	}
	if s.cut {
		c.connect(s.node)
	}
}

// givenUp is the end of a stopped process's connection, by a broker whose pings
// it does not answer.
func (c *conn) givenUp(node int) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.stopped != nil && c.connected {
		c.cut(false)
		c.connect(node)
	}
}

// isStopped reports whether the process is; nil never is.
func (c *conn) isStopped() bool {
	if c == nil {
		return false
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.stopped != nil
}

// holds keeps what reaches a stopped process until it goes on. The network is
// locked.
func (c *conn) holds(do func()) bool {
	if c == nil || c.stopped == nil {
		return false
	}
	c.stopped.held = append(c.stopped.held, do)
	return true
}

// wait implements [link]. A process that is stopped does not return from it.
func (c *conn) wait(ctx context.Context, d time.Duration) bool {
	in := wait(ctx, d)
	for {
		c.net.mu.Lock()
		s := c.stopped
		c.net.mu.Unlock()
		if s == nil {
			return in
		}
		<-s.on
		in = in && ctx.Err() == nil
	}
}

// Ticks is the process's ticker, which [transport.Ticks] finds: while the process
// is stopped it keeps one tick, as a ticker of Go does.
func (c *conn) Ticks(d time.Duration) (<-chan time.Time, func()) {
	ticks := make(chan time.Time, 1)
	tick := func() {
		select {
		case ticks <- time.Now():
		default:
		}
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	var timer *time.Timer
	var of *stopped // during which a tick is kept already
	timer = time.AfterFunc(d, func() {
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		timer.Reset(d)
		switch {
		case c.stopped == nil:
			tick()
		case of != c.stopped:
			of = c.stopped
			c.stops++
			soon := c.net.dice.of(c.name).nth(c.stops).below(uint64(2 * wakes)) // before what has come or after it
			c.holds(func() { time.AfterFunc(time.Duration(soon), tick) })
		}
	})
	return ticks, func() {
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		timer.Stop()
	}
}

// disturb notes that something happens to the process until a moment. The network
// is locked.
func (c *conn) disturb(until time.Time) { c.disturbed = later(c.disturbed, until) }

// later returns the later of two moments.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
