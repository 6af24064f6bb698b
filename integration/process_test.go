// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// With this variable set to a nats-server, such as one of another version, the
// tests that use runBroker and runCluster have it as their broker, as processes
// of its own. .ci/brokers does this. Without it they have the embedded one.
const brokerProgram = "DURABUS_TEST_BROKER"

// processes counts the brokers that were started as processes.
var processes atomic.Int64

// A testBroker is a broker that may be ended without a word and started again at
// the same address.
type testBroker interface {
	URL() string
	Kill()
	Restart() error // kills it first, if it runs
	Connections() int
}

// runBroker runs a broker until the test is over.
func runBroker(t testing.TB, opts broker.Options) testBroker {
	t.Helper()
	program := os.Getenv(brokerProgram)
	if program == "" {
		return broker.Run(t, opts)
	}
	p := newProcess(t, program, opts)
	p.run(t, "")
	return p
}

// runCluster runs three brokers, of which each reaches the others.
func runCluster(t testing.TB, opts broker.Options) (nodes []testBroker) {
	t.Helper()
	program := os.Getenv(brokerProgram)
	if program == "" {
		c := broker.RunCluster(t, opts)
		return []testBroker{c.Node(0), c.Node(1), c.Node(2)}
	}
	var all []*process
	var listen, routes []string
	for range 3 {
		all = append(all, newProcess(t, program, opts))
		listen = append(listen, freePort(t))
		routes = append(routes, "nats://"+listen[len(listen)-1])
	}
	for i, p := range all {
		p.peers = append(slices.Clone(all[:i]), all[i+1:]...)
		p.run(t, fmt.Sprintf("server_name: node-%d\ncluster { name: test, listen: %q, no_advertise: true, routes: [%s] }",
			i, listen[i], strings.Join(routes, ", ")))
		nodes = append(nodes, p)
	}
	for _, p := range all {
		if err := p.routed(); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// freePort returns an address that is this test's until its end: it belongs to an
// embedded broker that is down.
func freePort(t testing.TB) string {
	t.Helper()
	owner := broker.Run(t, broker.Options{})
	owner.Kill()
	return strings.TrimPrefix(owner.URL(), "nats://")
}

// A process is a nats-server that is not of this process. It belongs to the test.
type process struct {
	program string
	address string
	config  string // its file
	text    string
	peers   []*process // the other nodes of its cluster

	mu      sync.Mutex
	cmd     *exec.Cmd // nil: down
	reading sync.WaitGroup
	clients atomic.Int64 // that are connected
}

func newProcess(t testing.TB, program string, opts broker.Options) *process {
	t.Helper()
	if opts.Port != 0 || opts.Configure != nil {
		t.Fatal("a broker of another process is configured by Users and Config alone")
	}
	p := &process{program: program, address: freePort(t), config: filepath.Join(t.TempDir(), "nats.conf")}
	p.text = fmt.Sprintf("listen: %q\n%s\n%s\n", p.address, usersConfig(opts.Users), opts.Config)
	return p
}

// usersConfig is the configuration of users. It is JSON, which nats-server takes.
func usersConfig(users []broker.User) string {
	type subjects struct {
		Allow []string `json:"allow,omitempty"`
		Deny  []string `json:"deny,omitempty"`
	}
	var list []map[string]any
	for _, u := range users {
		permissions := map[string]any{}
		for what, s := range map[string]broker.Subjects{"publish": u.Publish, "subscribe": u.Subscribe} {
			if len(s.Allow)+len(s.Deny) > 0 {
				permissions[what] = subjects(s)
			}
		}
		if r := u.Responses; r != nil {
			permissions["allow_responses"] = map[string]any{"max": r.Max, "expires": r.Expires.String()}
		}
		list = append(list, map[string]any{"user": u.Name, "password": u.Password, "permissions": permissions})
	}
	if list == nil {
		return ""
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // which nats-server 2.9 cannot read
	if err := encoder.Encode(map[string]any{"users": list}); err != nil {
		panic(err) // of strings alone
	}
	return "authorization: " + text.String()
}

// run starts it for the first time, with more configuration.
func (p *process) run(t testing.TB, more string) {
	t.Helper()
	if err := os.WriteFile(p.config, []byte(p.text+more), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

func (p *process) URL() string { return "nats://" + p.address }

func (p *process) Connections() int { return int(p.clients.Load()) }

// Kill is SIGKILL: what the broker had for its clients is gone.
func (p *process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	p.reading.Wait()
	_ = p.cmd.Wait() // it was killed
	p.cmd = nil
}

func (p *process) Restart() error {
	p.Kill()
	if err := p.start(); err != nil {
		return err
	}
	return p.routed()
}

// start returns when the broker says that it is ready. It logs what its
// connections do, because a broker that has outlived the tests, which read the
// log, then ends itself as it writes the next line.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.program, "-D", "-c", p.config)
	log, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	processes.Add(1)
	p.clients.Store(0)
	ready := make(chan bool, 1)
	p.cmd = cmd
	var told []string // until it is ready
	p.reading.Go(func() {
		started := false
		for s := bufio.NewScanner(log); s.Scan(); {
			switch line := s.Text(); {
			case strings.Contains(line, "Server is ready"):
				started = true
				ready <- true
			case strings.Contains(line, "Client connection created"):
				p.clients.Add(1)
			case strings.Contains(line, "Client connection closed"):
				p.clients.Add(-1)
			case !started:
				told = append(told, line)
			}
		}
		close(ready)
	})
	select {
	case is := <-ready:
		if !is {
			return fmt.Errorf("%s ends at once:\n%s", p.program, strings.Join(told, "\n"))
		}
	case <-time.After(patience):
		return fmt.Errorf("%s is not ready after %v", p.program, patience)
	}
	return nil
}

// routed returns when messages go to and from each other node.
func (p *process) routed() error {
	for _, peer := range p.peers {
		for _, way := range [][2]string{{p.URL(), peer.URL()}, {peer.URL(), p.URL()}} {
			if err := reaches(way[0], way[1]); err != nil {
				return fmt.Errorf("from %s to %s: %w", way[0], way[1], err)
			}
		}
	}
	return nil
}

// reaches publishes at one broker until a subscriber at another has it.
func reaches(from, to string) error {
	there, err := nats.Connect(to)
	if err != nil {
		return err
	}
	defer there.Close()
	here, err := nats.Connect(from)
	if err != nil {
		return err
	}
	defer here.Close()
	subject := nats.NewInbox()
	sub, err := there.SubscribeSync(subject)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; {
		if err := here.Publish(subject, nil); err != nil {
			return err
		}
		if _, err := sub.NextMsg(5 * time.Millisecond); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// usedProgram turns a good end into a bad one if the tests that ran had no use for
// the broker they were given.
func usedProgram(code int) int {
	program := os.Getenv(brokerProgram)
	if program == "" {
		return code
	}
	n := processes.Load()
	fmt.Printf("%d processes of %s were brokers\n", n, program)
	if n == 0 && code == 0 {
		return 1
	}
	return code
}
