// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestInterestCrossesTheNodesOfACluster(t *testing.T) {
	t.Parallel()
	c := RunCluster(t, Options{})
	for i := range clusterSize {
		here, there := c.Node(i), c.Node((i+1)%clusterSize)
		crosses(t, connect(t, here.URL()), connect(t, there.URL()), fmt.Sprint("before.", i))
	}
}

// crosses checks that what from publishes comes to reach to. Interest takes a
// moment to reach another node, and nothing says when it has.
func crosses(t *testing.T, from, to *client, subject string) {
	t.Helper()
	got := to.subscribe(t, subject)
	eventually(t, "a message to the other node", func() bool {
		from.publish(t, subject, "hello")
		return len(got) > 0
	})
}

func TestANodeIsKilledAndReturnsByItself(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(*Server)
	}{
		{"kill", (*Server).Kill},
		{"stop", (*Server).Stop},
		{"restart", func(*Server) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := RunCluster(t, Options{})
			url := c.Node(1).URL()
			stays, moves := connect(t, c.Node(0).URL()), connect(t, url)
			tt.end(c.Node(1))
			if err := c.Node(1).Restart(); err != nil {
				t.Fatal(err)
			}
			if !c.routed() {
				t.Fatal("Restart returned before the routes were there")
			}
			receive(t, "reconnect", moves.reconnected)
			if moves.ConnectedUrl() != url {
				t.Fatalf("the client is at %s, want its node %s", moves.ConnectedUrl(), url)
			}
			if len(stays.disconnected) > 0 {
				t.Fatal("the other node's client was disconnected")
			}
			crosses(t, stays, moves, "to.restarted")
			crosses(t, moves, stays, "from.restarted")
		})
	}
}

func TestAClientWithAllAddressesMovesToANodeThatLives(t *testing.T) {
	t.Parallel()
	c := RunCluster(t, Options{})
	nc := connect(t, c.URL())
	if nc.ConnectedUrl() != c.Node(0).URL() {
		t.Fatalf("connected to %s, want the first node", nc.ConnectedUrl())
	}
	c.Node(0).Kill()
	receive(t, "reconnect", nc.reconnected)
	if nc.ConnectedUrl() == c.Node(0).URL() {
		t.Fatal("connected to a node that is down")
	}
}

func TestNodesDoNotTellClientsOfEachOther(t *testing.T) {
	t.Parallel()
	c := RunCluster(t, Options{})
	nc := connect(t, c.Node(0).URL())
	if err := c.Node(1).Restart(); err != nil { // which makes nodes that advertise send INFO
		t.Fatal(err)
	}
	nc.flush(t)
	if urls := nc.DiscoveredServers(); len(urls) > 0 {
		t.Fatalf("the client learnt of %v", urls)
	}
}

func TestRoutesAreAwaitedUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	c := RunCluster(t, Options{})
	if !c.routed() {
		t.Fatal("RunCluster returned before the routes were there")
	}
	c.Node(2).Kill()
	if err := c.AwaitRoutes(t.Context()); err != nil {
		t.Fatalf("the two nodes that run: %v", err)
	}
	c.Node(0).node.routesPerPeer++ // what will never be
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.AwaitRoutes(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
}

func TestAClusterThatCannotStartLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opts Options
		want string
	}{
		{Options{Port: 4222}, "leave it 0"},
		{Options{Config: "accounts {"}, "Options.Config"},
	} {
		if _, err := StartCluster(tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one that contains %q", err, tt.want)
		}
	}
}
