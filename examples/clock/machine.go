// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"context"
	"iter"
	"time"
)

// Tell returns the time at a place, by this machine's clock.
func Tell(_ context.Context, p Place) (Time, error) {
	zone, err := time.LoadLocation(p.Zone)
	if err != nil {
		return Time{}, err
	}
	now := time.Now().In(zone)
	return Time{now.Format(time.TimeOnly), now.Format("MST")}, nil
}

// Tick returns the time at a place, and again ten times a second.
func Tick(ctx context.Context, p Place) (Time, iter.Seq2[Time, error], error) {
	first, err := Tell(ctx, p)
	return first, func(yield func(Time, error) bool) {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			if !yield(Tell(ctx, p)) {
				return
			}
		}
	}, err
}
