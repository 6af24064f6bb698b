// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/unaryrpc"
)

// The only responder of the only version leaves a cluster, whose callers know
// nothing else and go on to call. Each call is answered, or certainly not carried
// out: none of them is swallowed on its way.
func TestTheLastResponderOfAllSwallowsNoCall(t *testing.T) {
	t.Parallel()
	const rounds = 4
	cluster := runCluster(t, broker.Options{})
	rpc := unaryrpc.RPC[int, int]{Name: "last.pay", Version: 1}
	pay := func(_ context.Context, n int) (int, error) { return n, nil }
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	codes := map[string]int{}
	var wg sync.WaitGroup
	for i := range 6 {
		call := rpc.Client(client(t, cluster[i%3].URL()))
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := call(t.Context(), n)
				mu.Lock()
				if err == nil {
					codes["answered"]++
				} else {
					codes[codeOf(err)]++
				}
				mu.Unlock()
				if err != nil && !errors.Is(err, bus.NoResponder) {
					t.Error("a call:", err)
				}
				pace(ctx, time.Millisecond)
			}
		})
	}
	var longest time.Duration
	for round := range rounds {
		srv, err := bus.Serve(connect(t, cluster[round%3].URL()), bus.Service{}, rpc.Handler(pay))
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		before := codes["answered"]
		mu.Unlock()
		eventually(t, "answers", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return codes["answered"] > before+100
		})
		leaving, cancel := context.WithTimeout(t.Context(), patience)
		begin := time.Now()
		if err := srv.Drain(leaving); err != nil {
			t.Error("Drain:", err)
		}
		longest = max(longest, time.Since(begin))
		cancel()
	}
	stop()
	wg.Wait()
	t.Logf("%v; %d drains took at most %v", codes, rounds, longest.Round(time.Millisecond))
}
