// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in classes that are at most a sixteenth wide, so
// that a million watchers can note theirs without keeping them.
type histogram struct {
	classes [64 << classBits]atomic.Int64
	all     atomic.Int64
}

const classBits = 4

func (h *histogram) add(d time.Duration) {
	h.classes[classOf(d)].Add(1)
	h.all.Add(1)
}

// classOf has a class for each of the first 16 ns, and 16 for each doubling.
func classOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 1<<classBits {
		return int(v)
	}
	shift := bits.Len64(v) - classBits - 1
	return (shift+1)<<classBits + int(v>>shift&(1<<classBits-1))
}

// longest is the longest duration of a class.
func longest(class int) time.Duration {
	if class < 1<<classBits {
		return time.Duration(class)
	}
	shift := class>>classBits - 1
	return time.Duration((1<<classBits+uint64(class)&(1<<classBits-1)+1)<<shift - 1)
}

// quantile is the duration that the share q does not exceed; 0 if there is none.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q * float64(h.all.Load()))
	for i := range h.classes {
		n := h.classes[i].Load()
		if n > 0 && rest < n {
			return longest(i)
		}
		rest -= n
	}
	return 0
}
