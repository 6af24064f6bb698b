// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
)

// serveAlice serves, below for.alice, an RPC and an Unknown which answer with who
// calls.
func serveAlice(t *testing.T, net *transport.Net) *bus.Server {
	t.Helper()
	who := func(ctx context.Context, _ bus.Call) (bus.Reply, error) {
		return bus.Reply{First: []byte(bus.IncomingCall(ctx).Identity)}, nil
	}
	srv, err := bus.ServeOn(net.Dial(), bus.Service{
		Name: "test", Prefix: "for.alice", Identity: "alice",
		Unknown: bus.Unknown{Under: "legacy", Call: who},
	}, bus.Handler{Description: bus.Description{Name: "who", Version: 1, Kind: bus.Unary}, Call: who})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

// An instance is reached by names below its prefix alone, as they are what the
// broker has permitted.
func TestAnInstanceAnswersToNoNameOutsideItsPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		srv := serveAlice(t, net)
		for prefix, want := range map[string]error{"for.alice": nil, "": bus.NoResponder, "for.bob": bus.NoResponder} {
			client := bus.NewClientOn(net.Dial(), bus.ClientOptions{Prefix: prefix})
			for _, name := range []string{"who", "legacy.who"} {
				call := bus.Call{Description: bus.Description{Name: name, Version: 1, Kind: bus.Unary}}
				r, err := client.At(srv.Instance()).Call(t.Context(), call)
				if !errors.Is(err, want) || want == nil && string(r.First) != "alice" {
					t.Errorf("%s below %q: %q, %v; want %v", name, prefix, r.First, err, want)
				}
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAnIdentityNeedsAPrefix(t *testing.T) {
	if _, err := bus.ServeOn(transport.NewNet(1).Dial(), bus.Service{Name: "test", Identity: "alice"}); !errors.Is(err, bus.Invalid) {
		t.Errorf("%v, want Invalid", err)
	}
}
