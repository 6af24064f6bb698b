// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

const clusterSize = 3

// A Cluster is three brokers with routes between them. Each node can be stopped,
// killed and restarted by itself. Nodes do not tell clients of each other.
type Cluster struct {
	nodes []*Server
}

// A node is what a Server knows of its cluster.
type node struct {
	cluster       *Cluster
	name          string
	port          port       // for routes
	peers         []*url.URL // of all nodes; nats-server knows its own
	routesPerPeer int        // how many connections it has to each other node
}

// StartCluster starts three brokers with these options and returns when each has
// all its routes to the others. The caller closes it.
func StartCluster(opts Options) (*Cluster, error) {
	if opts.Port != 0 {
		return nil, fmt.Errorf("broker: Options.Port is %d: the nodes of a cluster cannot share a port, leave it 0", opts.Port)
	}
	c := &Cluster{}
	if err := c.start(opts); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// RunCluster is StartCluster for tests: it fails the test if there is an error,
// and closes the cluster when the test is over.
func RunCluster(t TB, opts Options) *Cluster {
	t.Helper()
	c, err := StartCluster(opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func (c *Cluster) start(opts Options) error {
	var peers []*url.URL
	for i := range clusterSize {
		s, err := newServer(opts)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, s)
		s.node = &node{cluster: c, name: fmt.Sprintf("node-%d", i)}
		if s.node.port, err = takePort(); err != nil {
			return err
		}
		peers = append(peers, &url.URL{Scheme: "nats", Host: s.node.port.address()})
	}
	for _, s := range c.nodes {
		s.node.peers = peers
		if err := s.launch(); err != nil {
			return err
		}
	}
	return c.awaitRoutes()
}

// Node returns one of the nodes 0, 1 and 2.
func (c *Cluster) Node(i int) *Server { return c.nodes[i] }

// URL lists the addresses of all nodes, as nats.Connect takes them.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.nodes))
	for i, s := range c.nodes {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Close ends all nodes, as [Server.Close] does.
func (c *Cluster) Close() {
	for _, s := range c.nodes {
		s.Close()
	}
}

// AwaitRoutes waits until the nodes that run have all their routes to each
// other. Interest of clients follows them a moment later.
func (c *Cluster) AwaitRoutes(ctx context.Context) error {
	if err := poll(ctx, c.routed); err != nil {
		return fmt.Errorf("broker: the nodes of the cluster do not have all their routes: %w", err)
	}
	return nil
}

func (c *Cluster) awaitRoutes() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return c.AwaitRoutes(ctx)
}

func (c *Cluster) routed() bool {
	for _, a := range c.nodes {
		for _, b := range c.nodes {
			if a != b && a.Running() && b.Running() && a.routesTo(b) != a.node.routesPerPeer {
				return false
			}
		}
	}
	return true
}

// routesTo goes by the identity of the nats-server, so that routes to the one
// before a restart do not count.
func (s *Server) routesTo(peer *Server) int {
	routes, err := s.NATS().Routez(nil)
	if err != nil {
		return 0
	}
	n := 0
	for _, r := range routes.Routes {
		if r.RemoteID == peer.NATS().ID() {
			n++
		}
	}
	return n
}

func (n *node) configure(opts *server.Options) {
	opts.ServerName = n.name
	opts.Cluster.Name = "broker"
	opts.Cluster.Host, opts.Cluster.Port = host, n.port.number
	opts.Routes = slices.Clone(n.peers)
}

// setRoutesPerPeer reads options that nats-server has completed: one route for
// each place in the pool and one for each account that has its own.
func (n *node) setRoutesPerPeer(opts *server.Options) {
	n.routesPerPeer = 1
	if opts.Cluster.PoolSize > 0 {
		n.routesPerPeer = opts.Cluster.PoolSize + len(opts.Cluster.PinnedAccounts)
	}
}
