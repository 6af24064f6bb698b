// SPDX-License-Identifier: Apache-2.0

package bus

// How a call ends whose reader has left.

// close fails the call and leaves it in place of its reader. What has arrived and
// was not read is dropped, its end among it: a reader who comes for that needs the
// error.
func (c *inCall) close(e *Error) {
	c.mu.Lock()
	if c.err == nil {
		e.CallID = callID(c.box.id, c.id)
		c.err = e
		c.signal()
	}
	c.mu.Unlock()
	c.finish()
}

// forgetLeft forgets a call that has ended after its reader left.
func (c *inCall) forgetLeft() {
	c.mu.Lock()
	left, p := c.done, c.peer
	c.mu.Unlock()
	if left {
		c.box.end(c, p)
	}
}

// finish is the reader's leave. What was sent before the instance hears of it is
// still to be accounted for, so a call that has not ended is cancelled and
// forgotten only when its end comes. finish may be called more than once.
func (c *inCall) finish() {
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return
	}
	c.done, c.queue, c.doubt = true, nil, nil
	p, ended := c.peer, c.endedLocked()
	if c.grown > 0 {
		c.box.values.put(c.grown)
		c.grown = 0
	}
	c.mu.Unlock()
	if c.shares {
		c.route.underWay.Add(-1)
	}
	if p != nil && !ended && p.cancel(c) {
		return
	}
	c.box.end(c, p)
}

// endedLocked reports whether nothing more comes from the instance. c.mu is held.
func (c *inCall) endedLocked() bool {
	switch {
	case c.recv.Ended():
		return true
	case c.route.desc.Kind == Unary:
		return c.isShort()
	case c.first.Feed != "":
		return c.opened && c.first.Total <= uint64(len(c.first.Data))
	case c.route.desc.Kind == OneWay:
		return c.upload != nil && c.upload.whole
	}
	return false
}

// left reports whether the reader has left.
func (c *inCall) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// leftUnknown reports whether the reader has left before it was known who has the
// call: it is about to be forgotten.
func (c *inCall) leftUnknown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done && c.peer == nil
}
