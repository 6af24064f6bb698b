// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/kindtest"
	"github.com/durabus/durabus/unaryrpc"
)

// The laws hold for calls that a proxy knows nothing of beforehand. Info is the
// proxy's, an unserved name is on no menu, and what is called as another kind or
// with another codec is for the backend to refuse.
func TestLawsHoldThroughAnUnknownProxy(t *testing.T) {
	kindtest.Laws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller {
		url := broker.Run(t, broker.Options{}).URL()
		backend, err := bus.Serve(connect(t, url), bus.Service{Name: "backend", Prefix: "backend"}, handlers...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = backend.Close() })
		front, err := bus.Serve(connect(t, url), bus.Service{
			Name:    "front",
			Unknown: bus.Unknown{Under: "laws", Call: client(t, url).WithPrefix("backend").Call},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = front.Close() })
		return client(t, url)
	}, "Info", "Definitions", "Versions")
}

func TestUnknownAnswersWhatNoHandlerDoes(t *testing.T) {
	url := broker.Run(t, broker.Options{}).URL()
	known := unaryrpc.RPC[string, string]{Name: "old.known", Version: 1}
	srv, err := bus.Serve(connect(t, url), bus.Service{
		Name: "old", Prefix: "acme",
		Unknown: bus.Unknown{Under: "old", Call: func(_ context.Context, c bus.Call) (bus.Reply, error) {
			return bus.Reply{First: []byte(`"nobody has ` + c.String() + `"`)}, nil
		}},
	}, known.Handler(func(context.Context, string) (string, error) { return "known", nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	c := client(t, url).WithPrefix("acme")
	for _, caller := range []*bus.Client{c, c.WithInstance(srv.Instance())} {
		for _, tc := range []struct {
			name    string
			version int
			want    string
		}{
			{"old.known", 1, "known"},
			{"old.known", 2, "nobody has old.known.v2"},
			{"old.orders.list", 1, "nobody has old.orders.list.v1"},
		} {
			for range 10 { // whichever subscription the broker chooses
				rpc := unaryrpc.RPC[string, string]{Name: tc.name, Version: tc.version}
				if got, err := rpc.Client(caller)(t.Context(), ""); got != tc.want || err != nil {
					t.Errorf("%s.v%d: %q, %v", tc.name, tc.version, got, err)
				}
			}
		}
		if _, err := (unaryrpc.RPC[string, string]{Name: "new.orders", Version: 1}).Client(caller)(t.Context(), ""); !errors.Is(err, bus.NoResponder) {
			t.Errorf("a name that is not below: %v", err)
		}
	}
	if served, err := c.Served(t.Context(), "old.known"); err != nil || !slices.Equal(served, []int{1}) {
		t.Errorf("on the menu: %v, %v", served, err)
	}
}

func TestUnknownNeedsANameOfItsOwn(t *testing.T) {
	url := broker.Run(t, broker.Options{}).URL()
	for _, under := range []string{"", "*", "a..b", "a.>"} {
		srv, err := bus.Serve(connect(t, url), bus.Service{Unknown: bus.Unknown{
			Under: under, Call: func(context.Context, bus.Call) (bus.Reply, error) { return bus.Reply{}, nil },
		}})
		if !errors.Is(err, bus.Invalid) {
			_ = srv.Close()
			t.Errorf("under %q: %v", under, err)
		}
	}
}
