// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

// A deadline that is further off than a clock can count has not passed.
func TestADeadlineInAFarFutureLeavesAHandlerItsTime(t *testing.T) {
	rpc := unaryrpc.RPC[int, int]{Name: "far", Version: 1}
	look := rpc.Handler(func(ctx context.Context, n int) (int, error) { return n, ctx.Err() })
	synctest.Test(t, func(t *testing.T) {
		call := rpc.Client(dial(t, look))
		time.Sleep(time.Second)
		for name, deadline := range map[string]time.Time{
			"the longest timeout": time.Now().Add(math.MaxInt64),
			"the year 9999":       time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		} {
			ctx, cancel := context.WithDeadline(t.Context(), deadline)
			if _, err := call(ctx, 1); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := raidOn(t, look)
		for i, timeout := range []uint64{math.MaxInt64, 1 << 63, math.MaxUint64} {
			o := open(uint64(i+1), bus.Unary)
			o.TimeoutUS = timeout
			if e := r.ask("far.v1", packet(o.Call, o.Append(nil))); e != nil {
				t.Errorf("%d µs on the wire: %s: %s", timeout, e.Code, e.Message)
			}
		}
	})
}
