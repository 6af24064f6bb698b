// SPDX-License-Identifier: Apache-2.0

//go:build simreplay

package sim_test

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/cryptotest"
	_ "unsafe" // for go:linkname
)

// howToReplay a seed that failed.
const howToReplay = "make replay SEED=%d"

// These are what internal/sim/replay adds to the runtime.

//go:linkname replayBegin runtime.replayBegin
func replayBegin(seed uint64)

//go:linkname replayEnd runtime.replayEnd
func replayEnd()

// enough is how many bytes of heap are left behind before they are collected.
const enough = 128 << 20

// exactly plays one schedule with nothing left to chance. Garbage is collected
// between schedules alone.
func exactly(t *testing.T, seed uint64, do func()) {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	if metrics.Read(heap); heap[0].Value.Uint64() > enough {
		runtime.GC()
	}
	cryptotest.SetGlobalRandom(t, seed)
	replayBegin(seed)
	defer replayEnd()
	do()
}
