// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		childMain(role)
		return
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(usedProgram(code)) }))
}

// connect returns a connection that is closed with the test.
func connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// serve serves handlers on a connection of their own.
func serve(t testing.TB, url string, handlers ...bus.Handler) *bus.Server {
	t.Helper()
	srv, err := bus.Serve(connect(t, url), bus.Service{Name: "test"}, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error("closing the server:", err)
		}
	})
	return srv
}

// client returns a client with a connection of its own.
func client(t testing.TB, url string, options ...nats.Option) *bus.Client {
	t.Helper()
	c := bus.NewClient(connect(t, url, options...), bus.ClientOptions{})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error("closing the client:", err)
		}
	})
	return c
}

// pair serves handlers through a broker and returns a client of them.
func pair(t testing.TB, handlers ...bus.Handler) *bus.Client {
	t.Helper()
	url := runBroker(t, broker.Options{}).URL()
	serve(t, url, handlers...)
	return client(t, url)
}
