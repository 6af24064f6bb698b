// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/rand/v2"
	"time"
)

// A scale is how much there may be in a schedule, at most. Most bugs need few
// parts, and many small schedules can be played in the time of a large one.
type scale struct {
	name                       string
	nodes, responders, callers int
	works                      uint64        // of the workloads of [caller.start] a caller has so many, on average
	books                      int           // followers in a caller
	burst                      int           // calls that share messages
	ticks, changes             int           // the wait between updates of the state, in ms; updates at once
	storm                      time.Duration // a third of it, at least
	near                       time.Duration // between two updates of those that nothing happens to
	long                       int           // the longest query, answer or update, in KiB
}

const (
	tiny = iota
	small
	middle
	large
)

var scales = [...]scale{
	tiny: {
		name: "tiny", nodes: 2, responders: 1, callers: 1, works: 3, books: 1, burst: 6,
		ticks: 1500, changes: 30, storm: 2 * time.Second, near: 500 * time.Millisecond, long: 100,
	},
	small: {
		name: "small", nodes: 2, responders: 2, callers: 1, works: workloads, books: 1, burst: 6,
		ticks: 600, changes: 60, storm: 3 * time.Second, near: 250 * time.Millisecond, long: 100,
	},
	middle: {
		name: "middle", nodes: 3, responders: 2, callers: 2, works: workloads, books: 2, burst: 12,
		ticks: 400, changes: 120, storm: 5 * time.Second, near: 100 * time.Millisecond, long: 200,
	},
	large: {
		name: "large", nodes: 3, responders: 3, callers: 3, works: workloads, books: 3, burst: 20,
		ticks: 300, changes: 300, storm: longest, near: 50 * time.Millisecond, long: 400,
	},
}

// longest is how long a storm lasts, at most.
const longest = 10 * time.Second

// scaled draws how large a schedule is: of 64 one is large, two are middle and six
// small.
func scaled(d dice) int {
	switch n := d.of("scale").below(64); {
	case n == 0:
		return large
	case n < 3:
		return middle
	case n < 9:
		return small
	}
	return tiny
}

// size draws the length of something: mostly short.
func (w *world) size(r *rand.Rand) int {
	switch r.IntN(200) {
	case 0:
		return r.IntN(w.scale.long << 10)
	case 1, 2, 3:
		return r.IntN(20 << 10)
	}
	return r.IntN(100)
}
