// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
)

// Versions 1 and 2 have one responder each, at other nodes of a cluster, and
// take turns: one comes, and the other, whose callers are at all nodes, leaves
// at once. A broker swallows calls on their way to the last subscriber of a
// subject, unless the callers have gone before.
func TestTheLastResponderOfAVersionInAClusterSwallowsNoCall(t *testing.T) {
	const rounds = 6
	cluster := runCluster(t, broker.Options{})
	serve := func(round int) *bus.Server {
		find := func(_ context.Context, q ticket3) (ticket3, error) { return q, nil }
		srv, err := bus.Serve(connect(t, cluster[round%3].URL()), bus.Service{}, only(payFamily, []int{2 + round%2}).Handlers(find)...)
		if err != nil {
			t.Fatal(err)
		}
		return srv
	}
	now := serve(0)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var calls, failed atomic.Int64
	for i := range 6 {
		pay := only(payFamily, []int{2, 3}).Client(client(t, cluster[i%3].URL()))
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				calls.Add(1)
				if _, err := pay(t.Context(), ticket3{n}); err != nil {
					failed.Add(1)
					t.Error("a call:", err)
				}
				pace(ctx, time.Millisecond)
			}
		})
	}
	var longest time.Duration
	for round := range rounds {
		next := serve(round + 1)
		leaving, cancel := context.WithTimeout(t.Context(), patience)
		begin := time.Now()
		if err := now.Drain(leaving); err != nil {
			t.Error("Drain:", err)
		}
		longest = max(longest, time.Since(begin))
		cancel()
		now = next
	}
	stop()
	wg.Wait()
	if err := now.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d calls, %d failed; %d drains took at most %v", calls.Load(), failed.Load(), rounds, longest.Round(time.Millisecond))
}
