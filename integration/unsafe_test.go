// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
)

func TestConnectionsWithUnsafeOptionsAreRefusedByTheirNames(t *testing.T) {
	url := broker.Run(t, broker.Options{}).URL()
	for _, c := range []struct {
		name    string
		options []nats.Option
		names   []string // of options in the error; none: taken
	}{
		{"those of nats.go", nil, []string{"ReconnectBufSize", "MaxReconnects"}},
		{"a reconnect buffer", []nats.Option{nats.MaxReconnects(-1)}, []string{"ReconnectBufSize"}},
		{"reconnects that end", []nats.Option{nats.ReconnectBufSize(-1), nats.MaxReconnects(60)}, []string{"MaxReconnects"}},
		{"no reconnects", []nats.Option{nats.ReconnectBufSize(-1), nats.NoReconnect()}, []string{"NoReconnect"}},
		{"no echo", []nats.Option{nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.NoEcho()}, []string{"NoEcho"}},
		{"safe", []nats.Option{nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.PingInterval(time.Minute)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, err := nats.Connect(url, c.options...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			checkRefusal(t, callOn(t, nc, false), c.names)
			checkRefusal(t, serveOn(nc, false), c.names)
			checkRefusal(t, callOn(t, nc, true), nil)
			checkRefusal(t, serveOn(nc, true), nil)
			if n := nc.NumSubscriptions(); n != 0 {
				t.Errorf("%d subscriptions are left", n)
			}
		})
	}
}

func checkRefusal(t *testing.T, err error, names []string) {
	t.Helper()
	if len(names) == 0 {
		if errors.Is(err, bus.Invalid) {
			t.Error("refused:", err)
		}
		return
	}
	if !errors.Is(err, bus.Invalid) {
		t.Errorf("%v, want Invalid", err)
		return
	}
	for _, all := range []string{"ReconnectBufSize", "MaxReconnects", "NoReconnect", "NoEcho"} {
		named := false
		for _, n := range names {
			named = named || n == all
		}
		if strings.Contains(err.Error(), all) != named {
			t.Errorf("%q: is %s named: %t", err, all, !named)
		}
	}
}

// callOn makes a call that nobody answers.
func callOn(t *testing.T, nc *nats.Conn, anyConn bool) error {
	c := bus.NewClient(nc, bus.ClientOptions{AnyConn: anyConn})
	_, err := bystanderEcho.Client(c)(t.Context(), "")
	return errors.Join(err, c.Close())
}

func serveOn(nc *nats.Conn, anyConn bool) error {
	srv, err := bus.Serve(nc, bus.Service{AnyConn: anyConn}, bystanders()...)
	if err != nil {
		return err
	}
	return srv.Close()
}

func TestAConnectionThatCannotBeUsedIsRefused(t *testing.T) {
	nc := connect(t, broker.Run(t, broker.Options{}).URL())
	nc.Close()
	for says, nc := range map[string]*nats.Conn{"nil": nil, "closed": nc} {
		for what, err := range map[string]error{"calling": callOn(t, nc, true), "serving": serveOn(nc, true)} {
			if !errors.Is(err, bus.Invalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want Invalid that says %q", what, err, says)
			}
		}
	}
}
