// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bus_test

import "testing"

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
