// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// TestSharedMessagesKeepTheBalance counts the calls that each of four instances
// gets. A message goes to one of them at random, so the more calls share one,
// the more calls it takes to see that the shares are equal.
func TestSharedMessagesKeepTheBalance(t *testing.T) {
	const instances = 4
	for _, c := range []struct{ callers, calls int }{{8, 20_000}, {64, 100_000}} {
		t.Run(fmt.Sprintf("%d callers", c.callers), func(t *testing.T) {
			url := broker.Run(t, broker.Options{}).URL()
			var got [instances]atomic.Int64
			for i := range instances {
				serve(t, url, echoRPC.Handler(func(_ context.Context, q []byte) ([]byte, error) {
					got[i].Add(1)
					return q, nil
				}))
			}
			call := echoRPC.Client(client(t, url))
			var next atomic.Int64
			var wg sync.WaitGroup
			for range c.callers {
				wg.Go(func() {
					for next.Add(1) <= int64(c.calls) {
						if _, err := call(t.Context(), make([]byte, 16)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			for i := range instances {
				share := float64(got[i].Load()) * instances / float64(c.calls)
				if share < 0.9 || share > 1.1 {
					t.Errorf("instance %d got %.3f of its share", i, share)
				}
				t.Logf("instance %d: %.3f", i, share)
			}
		})
	}
}
