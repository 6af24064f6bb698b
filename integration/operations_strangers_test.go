// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/x509"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
)

// listens keeps the subjects of what comes on these.
func listens(t *testing.T, nc *nats.Conn, subjects ...string) <-chan *nats.Msg {
	t.Helper()
	came := make(chan *nats.Msg, 1024)
	for _, subject := range subjects {
		if _, err := nc.ChanSubscribe(subject, came); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return came
}

// An account sees what is exported to it, and what it says itself.
func TestAnotherAccountSeesAndForgesNothing(t *testing.T) {
	url := operated(t, "accounts.conf")
	pricer := connect(t, url, unrefused(t, "pricer"))
	srv := servePricing(t, pricer, bus.Service{})
	bob := connect(t, url, unrefused(t, "bob"))
	neighbour := connect(t, url, unrefused(t, "alice"))
	alice := client(t, url, unrefused(t, "alice"))

	byBob := listens(t, bob, ">")
	byNeighbour := listens(t, neighbour, "_D.c.>", "_D.i.>", "market.>", "durabus.>")
	callsPricing(t, alice)
	for n := len(byNeighbour); n > 0; n-- { // what alice's own account says to the exports
		if m := <-byNeighbour; !strings.HasPrefix(m.Subject, "market.price.v") {
			t.Errorf("an account saw %s", m.Subject)
		}
	}
	if n := len(byBob); n > 0 {
		t.Errorf("an account without imports saw %s", (<-byBob).Subject)
	}

	atHome := listens(t, pricer, "market.trade.>", "_D.a.>", "_D.f.>", "_D.c.>", "durabus.>")
	for _, nc := range []*nats.Conn{bob, neighbour} {
		for _, subject := range []string{
			"market.trade.v1", "_D.a.market.price", "_D.f.market.price.v1." + srv.Instance() + ".token", "_D.c." + srv.Instance() + ".token.1", "durabus.menu.v1",
		} {
			if err := nc.Publish(subject, []byte("forged")); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := pricer.Flush(); err != nil { // behind what came before
		t.Fatal(err)
	}
	for n := len(atHome); n > 0; n-- {
		if m := <-atHome; string(m.Data) == "forged" {
			t.Errorf("another account reached %s", m.Subject)
		}
	}
}

// Without verify_and_map the broker shows a certificate, and who comes in says who
// he is by a password.
func TestTheBrokersCertificateAloneKeepsPasswordsPrivate(t *testing.T) {
	ca := newAuthority(t, t.TempDir())
	ca.issue(t, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	config := strings.ReplaceAll(conf(t, "tls.conf"), "/etc/nats", ca.dir)
	config = strings.ReplaceAll(config, "  verify_and_map: true\n", "")
	config = strings.ReplaceAll(config, `user: "alice@example.com",`, `user: alice, password: alice,`)
	config = strings.ReplaceAll(config, `user: "pricer@example.com"`, `user: pricer, password: pricer`)
	url := runConfig(t, config)
	root := nats.RootCAs(filepath.Join(ca.dir, "ca.pem"))
	servePricing(t, connect(t, url, root, user("pricer", nil)), bus.Service{})
	alice := client(t, url, root, user("alice", nil))
	callsPricing(t, alice)
	answeredAtOnce(t, alice)
	if nc, err := nats.Connect(url, root, nats.UserInfo("alice", "wrong")); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Errorf("with a wrong password: %v", err)
	}
	for name, options := range map[string][]nats.Option{
		"no trust in the broker's authority": {user("alice", nil)},
		"an old version of TLS":              {root, user("alice", nil), oldTLS},
	} {
		if nc, err := nats.Connect(url, options...); err == nil {
			nc.Close()
			t.Errorf("who has %s told its password", name)
		}
	}
}

// answeredAtOnce makes so many calls that each last byte of what is encrypted comes.
func answeredAtOnce(t *testing.T, c bus.Caller) {
	t.Helper()
	call := quoteRPC.Client(c)
	for range 2000 {
		if _, err := call(t.Context(), ""); err != nil {
			t.Fatal("a call over TLS:", err)
		}
	}
}
