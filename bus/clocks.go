// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

// clockKept is for how long at least, and twice that at most, a server knows the
// clock of a client that it has forgotten: a broker that stood still may have
// requests of it.
const clockKept = time.Minute

// A clocks remembers how fast the requests of forgotten clients came at best, so
// that those which come late are still known to be old. It has so many as there are
// sessions, twice.
type clocks struct {
	young, old map[string]flow.Transit
	turned     time.Duration // when young became what it is
}

func (c *clocks) keep(client string, t flow.Transit, now time.Duration) {
	c.turn(now)
	if c.young == nil {
		c.young = map[string]flow.Transit{}
	}
	if len(c.young) < maxSessions {
		c.young[client] = t
	}
}

// of returns what is known of a client's clock, which may be nothing.
func (c *clocks) of(client string, now time.Duration) flow.Transit {
	c.turn(now)
	if t, ok := c.young[client]; ok {
		return t
	}
	return c.old[client]
}

func (c *clocks) turn(now time.Duration) {
	switch since := now - c.turned; {
	case since >= 2*clockKept:
		c.young, c.old = nil, nil
	case since >= clockKept:
		c.young, c.old = nil, c.young
	default:
		return
	}
	c.turned = now
}

// microseconds is a time on the wire, or the longest that there is: whoever has a
// deadline in a far future must not be told that it has passed.
func microseconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(math.MaxInt64/time.Microsecond))) * time.Microsecond
}
