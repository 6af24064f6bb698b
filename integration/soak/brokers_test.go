// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// Where brokers stand.
const (
	east = 3 // nodes of the cluster, the first of all brokers
	leaf = 3
	west = 4
)

// A node is one nats-server, over all its processes.
type node struct {
	name   string
	client string // address
	config string // file

	// What differs from the configuration that all have.
	place      string
	maxPayload int
	refused    string // what alice may not publish to; "" is nothing

	process *process
	said    chan string // what the process says that is waited for
	log     []string    // its last lines; the reader's, until the process has ended
}

// freeAddress returns an address that is this test's until its end: it belongs to
// an embedded broker that is down.
func freeAddress(t *testing.T) string {
	owner := broker.Run(t, broker.Options{})
	owner.Kill()
	return strings.TrimPrefix(owner.URL(), "nats://")
}

// newNodes lays out three clustered nodes, a leaf node of the first and a cluster
// of one behind a gateway. The leaf node's link goes through a proxy.
func newNodes(t *testing.T) (nodes []*node, link *broker.Proxy) {
	var routes, gates []string
	for range east {
		routes = append(routes, freeAddress(t))
	}
	for range east + 1 {
		gates = append(gates, freeAddress(t))
	}
	leaves := freeAddress(t)
	link = broker.RunProxy(t, "nats://"+leaves)
	urls := func(addresses []string) string { return `["nats://` + strings.Join(addresses, `", "nats://`) + `"]` }
	gateway := func(name, listen string) string {
		return fmt.Sprintf("gateway { name: %s, listen: %q, gateways: [ { name: east, urls: %s }, { name: west, urls: %s } ] }\n",
			name, listen, urls(gates[:east]), urls(gates[east:]))
	}
	accounts := accountsOf(t)
	for i := range east {
		place := fmt.Sprintf("cluster { name: east, listen: %q, no_advertise: true, routes: %s }\n", routes[i], urls(routes)) + gateway("east", gates[i])
		if i == 0 {
			place += fmt.Sprintf("leafnodes { listen: %q, no_advertise: true }\n", leaves)
		}
		nodes = append(nodes, &node{name: fmt.Sprint("east-", i), place: place + accounts})
	}
	nodes = append(nodes,
		&node{name: "leaf", place: fmt.Sprintf("leafnodes { remotes: [ { url: \"nats-leaf://pricer:pricer@%s\", account: MARKET } ] }\n",
			strings.TrimPrefix(link.URL(), "nats://")) + "accounts { MARKET: { users: [ { user: pricer, password: pricer } ] } }\n"},
		&node{name: "west", place: gateway("west", gates[east]) + accounts})
	folder := t.TempDir()
	for _, n := range nodes {
		n.client, n.maxPayload, n.config = freeAddress(t), 1<<20, filepath.Join(folder, n.name+".conf")
	}
	return nodes, link
}

// accountsOf returns the accounts and exports that docs/operations.md has, and the
// system account that a node with a gateway and leaf nodes must have.
func accountsOf(t *testing.T) string {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "```conf\n# accounts.conf\n")
	if !ok {
		t.Fatal("docs/operations.md has no block accounts.conf")
	}
	block, _, _ = strings.Cut(block, "```")
	block = "system_account: SYS\n" + strings.Replace(block, "accounts {", "accounts {\n  SYS: { users: [ { user: sys, password: sys } ] }", 1)
	return strings.NewReplacer("$ALICE", "alice", "$BOB", "bob", "$PRICER", "pricer").Replace(block)
}

func (n *node) url() string { return "nats://" + n.client }

// write writes the configuration as it is to be now: that of docs/operations.md,
// and a lame duck that does not take its time.
func (n *node) write() error {
	place := n.place
	if n.refused != "" {
		const alice = "user: alice, password: alice"
		place = strings.Replace(place, alice, fmt.Sprintf("%s, permissions: { publish: { deny: %q } }", alice, n.refused), 1)
	}
	text := fmt.Sprintf("server_name: %s\nlisten: %q\nmax_payload: %d\nwrite_deadline: 2s\nlame_duck_duration: 30s\nlame_duck_grace_period: 1s\n%s",
		n.name, n.client, n.maxPayload, place)
	return os.WriteFile(n.config, []byte(text), 0o600)
}

// answers are what a node says to what the conductor does to it.
var answers = regexp.MustCompile(`Server is ready|Reloaded server configuration|Failed to reload`)

// start returns when the node is ready.
func (n *node) start(u *undertaker) error {
	if err := n.write(); err != nil {
		return err
	}
	said := make(chan string, 100) // far more than there are answers
	n.said, n.log = said, nil
	var err error
	n.process, err = launch(u, n.name, exec.Command(natsServer, "-c", n.config), (*exec.Cmd).StderrPipe, func(line string) {
		if n.log = append(n.log, line); len(n.log) > 200 {
			n.log = n.log[100:]
		}
		if answers.MatchString(line) {
			said <- line
		}
	})
	if err != nil {
		return err
	}
	return n.await("Server is ready")
}

// await returns when the node says a word.
func (n *node) await(word string) error {
	limit := time.After(patience)
	for {
		select {
		case line := <-n.said:
			if strings.Contains(line, word) {
				return nil
			}
			if strings.Contains(line, "Failed to reload") {
				return fmt.Errorf("%s: %s", n.name, line)
			}
		case <-n.process.ended:
			return fmt.Errorf("%s has ended:\n%s", n.name, strings.Join(n.log, "\n"))
		case <-limit:
			return fmt.Errorf("%s does not say %q", n.name, word)
		}
	}
}
