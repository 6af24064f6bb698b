// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bus_test

import (
	"runtime"
	"testing"
)

const long = 8 << 20

// allocated is how many bytes f allocates. The race detector allocates too.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestALongUpdateIsWrittenOnce(t *testing.T) {
	const most = long + long/8
	w := newWriting(t, make([]byte, long))
	w.stream(1)
	const n = 4
	if got := allocated(func() { w.stream(n) }) / n; got > most {
		t.Errorf("%d bytes were allocated for each update of %d, want at most %d", got, long, most)
	}
}
