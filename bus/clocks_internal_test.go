// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

// Whoever may call a service decides how many clients of which names it has to
// forget.
func TestTheClocksOfForgottenClientsTakeNoMoreThanTheirBound(t *testing.T) {
	var c clocks
	before, now := heapInUse(), time.Duration(0)
	for wave := range 3 {
		now += clockKept
		for n := range 100_000 {
			c.keep(fmt.Sprintf("%d%0127d", wave, n), flow.Transit{}, now)
		}
	}
	if n := len(c.young) + len(c.old); n != 2*maxSessions {
		t.Errorf("%d clocks are kept, want %d", n, 2*maxSessions)
	}
	grown := heapInUse() - before
	if t.Logf("%.1f MiB", float64(grown)/(1<<20)); grown > 40<<20 {
		t.Errorf("they take %d bytes", grown)
	}
	c.of("", now+2*clockKept)
	if n := len(c.young) + len(c.old); n != 0 {
		t.Errorf("%d clocks are kept of clients that are long gone", n)
	}
}

// heapInUse is what is reachable.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
