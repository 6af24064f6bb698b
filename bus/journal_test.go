// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

// A shipper is a handler of slog that has each record sent away.
type shipper struct {
	slog.Handler
	send func(text string)
}

func (shipper) Enabled(context.Context, slog.Level) bool { return true }

func (s shipper) Handle(_ context.Context, r slog.Record) error {
	s.send(r.Message)
	return nil
}

// A program may ship its logs by the client and the server that they are of.
func TestAHandlerOfLogsMayUseTheClientAndTheServerThatItHearsOf(t *testing.T) {
	old := slog.Default()
	defer slog.SetDefault(old)
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		near, far := net.Dial(), net.Dial()
		rpc := unaryrpc.RPC[string, int]{Name: "log", Version: 1}
		srv, err := bus.ServeOn(far, bus.Service{}, rpc.Handler(func(_ context.Context, text string) (int, error) { return len(text), nil }))
		if err != nil {
			t.Fatal(err)
		}
		client := bus.NewClientOn(near, bus.ClientOptions{})
		call := rpc.Client(client)
		if _, err := call(t.Context(), "beforehand"); err != nil {
			t.Fatal(err)
		}
		shipped := make(chan string, 10)
		slog.SetDefault(slog.New(shipper{slog.DiscardHandler, func(text string) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if n, err := call(ctx, text); n != len(text) || err != nil || len(srv.Snapshot().ID) == 0 {
				t.Errorf("%s: %d, %v", text, n, err)
			}
			shipped <- text
		}}))
		for _, conn := range []*transport.SimConn{near, far} {
			conn.Disconnect()
			conn.Reconnect()
			if got, want := <-shipped, "durabus: the connection to the broker was made again"; got != want {
				t.Errorf("shipped %q, want %q", got, want)
			}
		}
		if err := errors.Join(client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
}
