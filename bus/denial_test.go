// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

// A broker that refuses a message says for which subject, not which. Where it took
// others before, those that are under way may be with a responder.
func TestACallThatIsUnderWayWhenARightIsTakenAwayMayHaveRun(t *testing.T) {
	for name, before := range map[string]int{"the right was there": 1, "it never was": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transport.NewNet(1)
				near, far := net.Dial(), net.Dial()
				rpc := unaryrpc.RPC[int, int]{Name: "work", Version: 1}
				srv, err := bus.ServeOn(far, bus.Service{}, rpc.Handler(func(_ context.Context, n int) (int, error) {
					time.Sleep(10 * time.Millisecond) // less than it takes to accept
					return n, nil
				}))
				if err != nil {
					t.Fatal(err)
				}
				c := bus.NewClientOn(near, bus.ClientOptions{})
				for range before {
					if _, err := rpc.Client(c)(t.Context(), 0); err != nil {
						t.Fatal(err)
					}
				}
				time.AfterFunc(5*time.Millisecond, func() { near.Deny("work.v1") })
				_, err = rpc.Client(c)(t.Context(), 1)
				if e, ok := errors.AsType[*bus.Error](err); !ok || e.Code != bus.Denied || e.MayHaveRun != (before > 0) {
					t.Errorf("%v; may have run: %v", err, ok && e.MayHaveRun)
				}
				if err := errors.Join(c.Close(), srv.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Rights that are given again hold for connections that are made anew, as the
// subscriptions of a connection are.
func TestAClientWhoseInboxWasDeniedWorksAgainOnTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		near := net.Dial()
		rpc := unaryrpc.RPC[int, int]{Name: "work", Version: 1}
		srv, err := bus.ServeOn(net.Dial(), bus.Service{}, rpc.Handler(func(_ context.Context, n int) (int, error) { return n, nil }))
		if err != nil {
			t.Fatal(err)
		}
		inbox := ""
		net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if from == near {
				inbox = m.Reply[:strings.LastIndexByte(m.Reply, '.')] + ".*"
			}
			return []transport.Msg{m}
		})
		c := bus.NewClientOn(near, bus.ClientOptions{})
		call := func() error { _, err := rpc.Client(c)(t.Context(), 1); return err }
		if err := call(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		near.Deny(inbox)
		if err := call(); !errors.Is(err, bus.Denied) {
			t.Errorf("without the right: %v", err)
		}
		near.Disconnect()
		near.Reconnect()
		if err := call(); err != nil {
			t.Errorf("on the next connection: %v", err)
		}
		near.Disconnect()
		near.Reconnect()
		near.Deny(inbox)
		if err := call(); !errors.Is(err, bus.Denied) {
			t.Errorf("without the right once more: %v", err)
		}
		if err := errors.Join(c.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
}
