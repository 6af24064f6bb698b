// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

// A lateConn is one whose broker confirms late what it was told.
type lateConn struct{ *transport.SimConn }

func (c lateConn) Flush(ctx context.Context) error {
	select {
	case <-time.After(3 * time.Second):
		return c.SimConn.Flush(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestRequestsAreAnsweredBeforeTheBrokerConfirmsAllSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		double := unaryrpc.RPC[int, int]{Name: "double", Version: 1}
		start := time.Now()
		go func() {
			client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
			defer client.Close()
			time.Sleep(time.Second)
			if n, err := double.Client(client)(t.Context(), 21); n != 42 || err != nil || time.Since(start) > 2*time.Second {
				t.Errorf("double(21) = %d, %v after %v", n, err, time.Since(start))
			}
		}()
		srv, err := bus.ServeOn(lateConn{net.Dial()}, bus.Service{Name: "test"},
			double.Handler(func(_ context.Context, n int) (int, error) { return 2 * n, nil }))
		if err != nil || time.Since(start) < 3*time.Second {
			t.Errorf("served after %v, %v", time.Since(start), err)
		}
		srv.Close()
	})
}
