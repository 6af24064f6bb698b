// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/unaryrpc"
)

// A responder at one node of a cluster comes and drains, again and again, while
// others live at the other nodes and callers at all of them call without a pause.
// What a broker has on its way to who leaves must go to another.
func TestAResponderThatLeavesAClusterUnderLoadSwallowsNoCall(t *testing.T) {
	const rounds, callers, each = 30, 12, 20
	cluster := runCluster(t, broker.Options{})
	rpc := unaryrpc.RPC[int, int]{Name: "leaving.pay", Version: 1}
	pay := func(_ context.Context, n int) (int, error) { return n, nil }
	for _, node := range cluster[:2] {
		serve(t, node.URL(), rpc.Handler(pay))
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var calls atomic.Int64
	for i := range callers {
		call := rpc.Client(client(t, cluster[i%3].URL()))
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if got, err := call(t.Context(), n); got != n || err != nil {
					t.Errorf("call %d: %d, %v", n, got, err)
				}
				calls.Add(1)
			}
		})
	}
	for range rounds {
		called := make(chan struct{}, each)
		srv, err := bus.Serve(connect(t, cluster[2].URL()), bus.Service{}, rpc.Handler(func(ctx context.Context, n int) (int, error) {
			select {
			case called <- struct{}{}:
			default:
			}
			return pay(ctx, n)
		}))
		if err != nil {
			t.Fatal(err)
		}
		await(t, called, each, "calls of who has come")
		leaving, cancel := context.WithTimeout(t.Context(), patience)
		if err := srv.Drain(leaving); err != nil {
			t.Error("Drain:", err)
		}
		cancel()
	}
	stop()
	wg.Wait()
	t.Logf("%d calls while one of three left %d times", calls.Load(), rounds)
}
