// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bus_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestAUnaryCallAllocatesLittle counts both sides and the simulated network. The
// race detector makes pools forget, so it is not for this test.
func TestAUnaryCallAllocatesLittle(t *testing.T) {
	const (
		values  = 6 // the query and the answer: decoded twice, with their bytes, and encoded twice
		network = 5 // copies and queues of two messages
		engine  = 6 // the records of both sides, the Reply, the call's id, and two moved values
	)
	call := benched(t)
	call()
	if n := testing.AllocsPerRun(1000, call); n > values+network+engine {
		t.Errorf("%v allocations a call, want at most %d", n, values+network+engine)
	}
}

// TestWritingAnUpdateAllocatesNothing compares streams of two lengths, each from
// its opening to its end: what the longer one costs more is its updates'.
func TestWritingAnUpdateAllocatesNothing(t *testing.T) {
	t.Run("bytes", func(t *testing.T) { writesFree(t, make([]byte, 16)) })
	t.Run("protobuf", func(t *testing.T) { writesFree(t, wrapperspb.Bytes(make([]byte, 16))) })
}

func writesFree[U any](t *testing.T, value U) {
	const (
		few, many = 1000, 11_000
		spare     = 50 // a pool may be emptied meanwhile; one in an update would be 10,000
	)
	w := newWriting(t, value)
	w.stream(many)
	short := testing.AllocsPerRun(20, func() { w.stream(few) })
	long := testing.AllocsPerRun(20, func() { w.stream(many) })
	if long-short > spare {
		t.Errorf("%d updates cost %v allocations, %d cost %v", few, short, many, long)
	}
}
