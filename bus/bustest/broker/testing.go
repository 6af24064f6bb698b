// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"time"
)

// A TB is what this package needs of *testing.T and *testing.B, so that programs
// that embed a broker do not link package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// poll waits until cond is true, and returns the context's error if that comes
// first. nats-server has no event for what is waited for with it.
func poll(ctx context.Context, cond func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
