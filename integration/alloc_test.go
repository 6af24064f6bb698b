// SPDX-License-Identifier: Apache-2.0

//go:build !race

package integration

import (
	"runtime"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// TestAnUpdateCostsNoAllocationBeyondItsValue counts on both sides and the
// broker. The race detector makes pools forget, so it is not for this test.
func TestAnUpdateCostsNoAllocationBeyondItsValue(t *testing.T) {
	url := broker.Run(t, broker.Options{}).URL()
	t.Run("bytes", func(t *testing.T) {
		allocates(t, url, make([]byte, 16), 0) // the value is a part of the message
	})
	t.Run("protobuf", func(t *testing.T) {
		allocates(t, url, wrapperspb.Int64(1<<40), 1)
	})
	t.Run("JSON", func(t *testing.T) {
		allocates(t, url, 'x', 1) // within encoding/json
	})
}

func allocates[U any](t *testing.T, url string, value U, want float64) {
	t.Helper()
	open := benchedPipe(t, url, value)
	const n = 100_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	readUpdates(t, open, n)
	runtime.ReadMemStats(&after)
	// A message costs some, and carries a few hundred.
	if got := float64(after.Mallocs-before.Mallocs) / n; got > want+0.3 {
		t.Errorf("%v allocations for each update, want %v", got, want)
	}
}
