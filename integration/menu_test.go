// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/menu"
	"github.com/durabus/durabus/unaryrpc"
)

// quote is a handler of a version of market.quote.
func quote(version int) bus.Handler {
	rpc := unaryrpc.RPC[string, string]{Name: "market.quote", Version: version}
	return rpc.Handler(func(_ context.Context, s string) (string, error) { return s, nil })
}

// shows waits until the directory has versions of market.quote, and returns how
// long that took.
func shows(t *testing.T, d *menu.Directory, want ...int) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		m, changed := d.Menu()
		if slices.Equal(m.Versions("market.quote"), want) {
			return time.Since(start)
		}
		select {
		case <-changed:
		case <-time.After(patience):
			t.Fatalf("the directory has %v, want %v", m.Versions("market.quote"), want)
		}
	}
}

func TestADirectoryOfAClusterFollowsWhoComesAndLeaves(t *testing.T) {
	servers := broker.RunCluster(t, broker.Options{})
	serve(t, servers.Node(0).URL(), quote(1))
	c := client(t, servers.Node(1).URL())
	d, err := menu.Watch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	shows(t, d, 1)
	for range 3 {
		srv, err := bus.Serve(connect(t, servers.Node(2).URL()), bus.Service{Name: "test"}, quote(1), quote(2))
		if err != nil {
			t.Fatal(err)
		}
		came := shows(t, d, 1, 2)
		m, _ := d.Menu()
		if n := m.Counts("market.quote"); n[1] != 2 || n[2] != 1 || m.Check() != nil {
			t.Errorf("instances by version: %v; %v", n, m.Check())
		}
		start := time.Now()
		if err := srv.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		shows(t, d, 1)
		t.Logf("seen %v after Serve, left %v after Drain began", came, time.Since(start))
	}
}

func TestServedIsCurrentAfterAnAnnouncementAndAfterAskingWhereThatIsDenied(t *testing.T) {
	url := guarded(t)
	for user, within := range map[string]time.Duration{"everything": 500 * time.Millisecond, "announcing": patience} {
		t.Run(user, func(t *testing.T) {
			serveAs := func(h bus.Handler) *bus.Server {
				srv, err := bus.Serve(connect(t, url, as(user)), bus.Service{Name: "test"}, h)
				if err != nil {
					t.Fatal(err)
				}
				return srv
			}
			first := serveAs(quote(1))
			defer first.Close()
			c := client(t, url, as(user))
			expect := func(want ...int) {
				t.Helper()
				start := time.Now()
				for {
					got, err := c.Served(t.Context(), "market.quote")
					if err != nil {
						t.Fatal(err)
					}
					if slices.Equal(got, want) {
						return
					}
					if time.Since(start) > within {
						t.Fatalf("served: %v, want %v", got, want)
					}
					pace(t.Context(), time.Millisecond)
				}
			}
			expect(1)
			second := serveAs(quote(2))
			expect(1, 2)
			if err := second.Close(); err != nil {
				t.Error(err)
			}
			expect(1)
			if n := first.Dropped(); len(n) > 0 {
				t.Errorf("dropped: %v", n)
			}
		})
	}
}
