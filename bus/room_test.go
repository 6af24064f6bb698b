// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

// Both sides have room for 256 MiB of values in pieces at a time.
func TestRoomForLongValuesComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		echo := unaryrpc.RPC[[]byte, []byte]{Name: "echo", Version: 1}
		f := echo.Client(dial(t, echo.Handler(func(_ context.Context, b []byte) ([]byte, error) { return b, nil })))
		query := make([]byte, bus.MaxValue)
		for n := range 256<<20/bus.MaxValue + 1 {
			if answer, err := f(t.Context(), query); err != nil || len(answer) != len(query) {
				t.Fatalf("call %d: %d bytes, %v", n, len(answer), err)
			}
		}
	})
}
