// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestAHealthyProxyIsNotNoticed(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	sub, pub := connect(t, proxy.URL()), connect(t, srv.URL())
	got := sub.subscribe(t, "news")
	const n = 10_000
	for i := range n {
		pub.publish(t, "news", fmt.Sprint(i))
	}
	inOrder(t, got, n)
	sub.Close()
	eventually(t, "the broker learns of the end", func() bool { return srv.Connections() == 1 })
}

func TestAProxyOutlivesItsBroker(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	c := connect(t, proxy.URL())
	got := c.subscribe(t, "news")
	srv.Kill()
	receive(t, "disconnect", c.disconnected)
	if nc, err := nats.Connect(proxy.URL(), nats.Timeout(patience)); err == nil || isTimeout(err) {
		nc.Close()
		t.Fatalf("connecting to a broker that is down: %v, want an error at once", err)
	}
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	receive(t, "reconnect", c.reconnected)
	c.publish(t, "news", "0")
	inOrder(t, got, 1)
}

func TestAClientBehindAProxyDoesNotLearnTheWayRoundIt(t *testing.T) {
	t.Parallel()
	c := RunCluster(t, Options{})
	proxy := RunProxy(t, c.Node(0).URL())
	infos := make(chan string, 100)
	proxy.Tamper(func(op *Op) Verdict {
		if op.Verb == "INFO" {
			infos <- op.Text
		}
		return Pass
	})
	nc := connect(t, proxy.URL())
	if err := c.Node(1).Restart(); err != nil {
		t.Fatal(err)
	}
	c.Node(0).Stop()
	receive(t, "disconnect", nc.disconnected)
	if err := c.Node(0).Restart(); err != nil {
		t.Fatal(err)
	}
	receive(t, "reconnect", nc.reconnected)
	if nc.ConnectedUrl() != proxy.URL() || len(nc.Servers()) != 1 {
		t.Fatalf("connected to %s of %v, want %s alone", nc.ConnectedUrl(), nc.Servers(), proxy.URL())
	}
	for range len(infos) {
		if info := <-infos; strings.Contains(info, "connect_urls") {
			t.Fatalf("the broker tells of other addresses: %s", info)
		}
	}
}

func TestAProxyNeedsAnAddress(t *testing.T) {
	for _, target := range []string{"", "127.0.0.1:4222", "nats://", ":"} {
		if _, err := StartProxy(target); err == nil || !strings.Contains(err.Error(), "nats://127.0.0.1:4222") {
			t.Errorf("target %q: error %v, want one with an example", target, err)
		}
	}
}

func TestClosingAProxyEndsWhatIsFrozenAndSwallowed(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	for _, fault := range []func(*Proxy){
		func(p *Proxy) { p.Freeze(Both) },
		func(p *Proxy) { p.Partition(Both) },
		func(p *Proxy) { p.Delay(time.Hour) },
	} {
		proxy := RunProxy(t, srv.URL())
		c := connect(t, proxy.URL())
		fault(proxy)
		c.publish(t, "news", strings.Repeat("x", 1<<19), strings.Repeat("x", 1<<19))
		proxy.Close()
		receive(t, "disconnect", c.disconnected)
	}
}

func TestWhatIsNotNATSIsLeftToTheBroker(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	for _, wire := range []string{"PUB\r\n", "PUB a 1\r\nhi\r\n", "\x16\x03 as TLS begins", "NONSENSE\r\n"} {
		conn := dial(t, proxy)
		if _, err := io.WriteString(conn, "CONNECT {}\r\n"+wire); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(conn)
		if !strings.Contains(string(said), "-ERR") || isTimeout(err) {
			t.Errorf("%q: the broker said %q, %v; want a complaint and the end", wire, said, err)
		}
	}
}
