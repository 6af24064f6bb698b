// SPDX-License-Identifier: Apache-2.0

package main

// added are files that the toolchain's packages get.
var added = map[string]string{
	"runtime/replay.go": `package runtime

import (
	"internal/runtime/atomic"
	_ "unsafe"
)

var replay struct {
	on          atomic.Uint32
	seed, drawn uint64
}

// replaying reports whether gp belongs to a schedule.
//
//go:nosplit
func replaying(gp *g) bool { return gp != nil && gp.bubble != nil && replay.on.Load() != 0 }

//go:nosplit
func replayMixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

//go:nosplit
func replayNext() uint64 {
	replay.drawn++
	return replayMixed(replay.seed + replay.drawn*0x9e3779b97f4a7c15)
}

//go:linkname replayRand
func replayRand() uint64 {
	if !replaying(getg()) {
		return rand()
	}
	return replayNext()
}

func replayBelow(n uint32) uint32 {
	if !replaying(getg()) {
		return cheaprandn(n)
	}
	return uint32(uint64(uint32(replayNext())) * uint64(n) >> 32)
}

//go:linkname maps_replayOffset internal/runtime/maps.replayOffset
func maps_replayOffset(used uint64) uint64 {
	gp := getg()
	if !replaying(gp) {
		return rand()
	}
	return replayMixed(replay.seed ^ uint64(gp.bubble.now) + used*0x9e3779b97f4a7c15)
}

// replayBegin begins a schedule. What it has in pools is its own.
//
//go:linkname replayBegin
func replayBegin(seed uint64) {
	poolcleanup()
	poolcleanup()
	replay.seed, replay.drawn = seed, 0
	replay.on.Store(1)
}

//go:linkname replayEnd
func replayEnd() { replay.on.Store(0) }
`,
	"internal/runtime/maps/replay.go": `package maps

import (
	"internal/abi"
	"unsafe"
)

//go:linkname replayOffset
func replayOffset(used uint64) uint64

func replayHasher(typ *abi.MapType) func(unsafe.Pointer, uintptr) uintptr {
	switch typ.Key.Kind() {
	case abi.Pointer, abi.Chan, abi.UnsafePointer:
		return replayOne
	}
	return typ.Hasher
}

func replayOne(unsafe.Pointer, uintptr) uintptr { return 0 }
`,
}
