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
	servers := runCluster(t, broker.Options{})
	serve(t, servers[0].URL(), quote(1))
	c := client(t, servers[1].URL())
	d, err := menu.Watch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	shows(t, d, 1)
	for range 3 {
		srv, err := bus.Serve(connect(t, servers[2].URL()), bus.Service{Name: "test"}, quote(1), quote(2))
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

func TestWhoDrainsIsOffTheMenuBeforeItsCallsAreOver(t *testing.T) {
	servers := runCluster(t, broker.Options{})
	serve(t, servers[0].URL(), quote(1))
	c := client(t, servers[1].URL())
	d, err := menu.Watch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	begun, letGo := make(chan struct{}), make(chan struct{})
	slow := unaryrpc.RPC[string, string]{Name: "market.quote", Version: 2}
	srv := serve(t, servers[2].URL(), slow.Handler(func(ctx context.Context, s string) (string, error) {
		close(begun)
		select {
		case <-letGo:
			return s, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}))
	shows(t, d, 1, 2)
	called := make(chan error, 1)
	go func() {
		_, err := slow.Client(c)(t.Context(), "a")
		called <- err
	}()
	<-begun
	drained := make(chan error, 1)
	go func() { drained <- srv.Drain(t.Context()) }()
	t.Logf("left %v after Drain began", shows(t, d, 1))
	if served, err := c.Served(t.Context(), "market.quote"); err != nil || !slices.Equal(served, []int{1}) {
		t.Errorf("served: %v, %v", served, err)
	}
	select {
	case err := <-called:
		t.Errorf("the call was over: %v", err)
	case err := <-drained:
		t.Errorf("Drain was over: %v", err)
	default:
	}
	close(letGo)
	if err := <-called; err != nil {
		t.Error(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// It takes as long as the directory waits before it asks: 20 to 30 s.
func TestADirectoryAsksWhereAnnouncementsAreNotPermitted(t *testing.T) {
	t.Parallel()
	servers := guardedCluster(t)
	serveAs := func(node, version int) {
		srv, err := bus.Serve(connect(t, servers.Node(node).URL(), as("announcing")), bus.Service{Name: "test"}, quote(version))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = srv.Close() })
	}
	serveAs(0, 1)
	d, err := menu.Watch(t.Context(), client(t, servers.Node(1).URL(), as("announcing")))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	shows(t, d, 1)
	_, changed := d.Menu()
	serveAs(2, 2)
	start := time.Now()
	select {
	case <-changed:
	case <-time.After(40 * time.Second):
	}
	shows(t, d, 1, 2)
	took := time.Since(start)
	t.Logf("seen after %v", took)
	if took < 10*time.Second {
		t.Error("it was announced: the test has shown nothing")
	}
}
