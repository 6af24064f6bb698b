// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func TestClientsComeBackToABrokerRestartedOnItsPort(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	url := srv.URL()
	c := connect(t, url)
	got := c.subscribe(t, "news")
	for i := range 3 {
		srv.Kill()
		if srv.Running() {
			t.Fatal("the broker runs after Kill")
		}
		receive(t, "disconnect", c.disconnected)
		if err := srv.Restart(); err != nil {
			t.Fatal(err)
		}
		receive(t, "reconnect", c.reconnected)
		if srv.URL() != url {
			t.Fatalf("the broker moved from %s to %s", url, srv.URL())
		}
		want := fmt.Sprint("after restart ", i)
		c.publish(t, "news", want)
		if m := receive(t, "message", got); string(m.Data) != want {
			t.Fatalf("received %q, want %q", m.Data, want)
		}
	}
}

func TestRestartOfARunningBrokerDisconnectsItsClients(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	c := connect(t, srv.URL())
	before := srv.NATS()
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	receive(t, "disconnect", c.disconnected)
	receive(t, "reconnect", c.reconnected)
	if srv.NATS() == before || before.Running() {
		t.Fatal("the nats-server from before the restart still serves")
	}
}

func TestKillHarmsNoOtherBroker(t *testing.T) {
	t.Parallel()
	victim, other := Run(t, Options{}), Run(t, Options{})
	c := connect(t, other.URL())
	got := c.subscribe(t, "news")
	victim.Kill()
	c.publish(t, "news", "still here")
	receive(t, "message", got)
	if n := len(c.disconnected); n != 0 {
		t.Fatalf("%d disconnects from the broker that was not killed", n)
	}
}

func TestStopWarnsClientsAndKillDoesNot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		end   func(*Server)
		warns bool
	}{
		{"stop", (*Server).Stop, true},
		{"kill", (*Server).Kill, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := Run(t, Options{})
			c := connect(t, srv.URL())
			c.flush(t) // the broker warns only those whose ping it has answered
			tt.end(srv)
			receive(t, "disconnect", c.disconnected)
			if warned := len(c.lameDuck) > 0; warned != tt.warns {
				t.Fatalf("warned: %v, want %v", warned, tt.warns)
			}
			if srv.Running() {
				t.Fatal("the broker still runs")
			}
		})
	}
}

func TestEndingABrokerTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	srv.Stop()
	srv.Stop()
	srv.Kill()
	srv.Close()
	if srv.Connections() != 0 || srv.Subscriptions() != 0 {
		t.Fatal("a broker that is down has clients")
	}
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	connect(t, srv.URL())
}

func TestCountsAreThoseOfClients(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	if srv.Connections() != 0 || srv.Subscriptions() != 0 || srv.Traffic() != (Traffic{}) {
		t.Fatalf("a new broker counts %d connections, %d subscriptions, %+v", srv.Connections(), srv.Subscriptions(), srv.Traffic())
	}
	pub, sub := connect(t, srv.URL()), connect(t, srv.URL())
	sub.subscribe(t, "a")
	b := sub.subscribe(t, "*")
	pub.publish(t, "a", "12345", "12345")
	pub.publish(t, "b", "12345")
	pub.flush(t)
	for range 3 {
		receive(t, "message", b)
	}
	if srv.Connections() != 2 || srv.Subscriptions() != 2 {
		t.Fatalf("%d connections and %d subscriptions, want 2 and 2", srv.Connections(), srv.Subscriptions())
	}
	want := Traffic{InMsgs: 3, InBytes: 15, OutMsgs: 5, OutBytes: 25}
	eventually(t, "exact counts", func() bool { return srv.Traffic() == want })

	sub.Close()
	eventually(t, "the subscriber's end", func() bool { return srv.Connections() == 1 && srv.Subscriptions() == 0 })
}

func TestAStartThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	taken := Run(t, Options{})
	for _, tt := range []struct {
		name string
		opts Options
		want string
	}{
		{"port taken", Options{Port: taken.port.number}, "address already in use"},
		{"config does not parse", Options{Config: "accounts {"}, "Options.Config"},
		{"options contradict", Options{Configure: func(o *server.Options) { o.MaxPayload, o.MaxPending = 2, 1 }}, "refuses its options"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Start(tt.opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one that contains %q", err, tt.want)
			}
		})
	}
}

func TestRunFailsTheTestWhereStartFails(t *testing.T) {
	t.Parallel()
	taken := Run(t, Options{})
	tb := &failing{TB: t}
	func() {
		defer func() { _ = recover() }()
		Run(tb, Options{Port: taken.port.number})
	}()
	if !strings.Contains(tb.message, taken.URL()) {
		t.Fatalf("failed with %q, want the address", tb.message)
	}
}

// A failing is a TB that notes the failure and ends the caller.
type failing struct {
	TB
	message string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

func TestEachStartIsConfigured(t *testing.T) {
	t.Parallel()
	starts := 0
	srv := Run(t, Options{
		Config: "max_payload: 1000",
		Configure: func(o *server.Options) {
			starts++
			o.MaxPayload *= 2
		},
	})
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, srv.URL())
	if starts != 2 || c.MaxPayload() != 2000 {
		t.Fatalf("configured %d times to a payload of %d, want 2 times and 2000", starts, c.MaxPayload())
	}
}

func TestTheLogGetsTheLinesOfTheBroker(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer // slog's handler locks it
	log := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: levelTrace}))
	srv := Run(t, Options{Log: log})
	connect(t, srv.URL()).flush(t)
	srv.Kill()
	for _, want := range []string{"level=INFO msg=\"Starting nats-server\"", "Listening for client connections", "->> [PONG]", "Server Exiting"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no line with %q in\n%s", want, lines.String())
		}
	}
}
