// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
)

// One of two who serve the name is stopped, and every second question comes to it.
func TestWhoIsStoppedDoesNotSpeakForTheOthersWhenAVersionIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		var conns []*transport.SimConn
		for range 2 {
			conn := net.Dial()
			srv, err := bus.ServeOn(conn, bus.Service{}, addRPC.Handler(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Close()
			conns = append(conns, conn)
		}
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		conns[0].Freeze(true)
		next := addRPC
		next.Version++
		for range 20 {
			began := time.Now()
			if _, err := next.Client(client)(t.Context(), 1); !errors.Is(err, bus.Unserved) {
				t.Errorf("a version that nobody serves: %v", err)
			}
			if took := time.Since(began); took > 1500*time.Millisecond {
				t.Errorf("told after %v", took)
			}
		}
	})
}
