// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/kindtest"
	"github.com/durabus/durabus/staterpc"
)

// proxied serves handlers as a backend and returns a client that reaches them
// through a proxy, of one line for each.
func proxied(t testing.TB, handlers ...bus.Handler) (c *bus.Client, backend *bus.Server) {
	t.Helper()
	url := broker.Run(t, broker.Options{}).URL()
	backend, err := bus.Serve(connect(t, url), bus.Service{Name: "backend", Prefix: "backend"}, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	behind := client(t, url).WithPrefix("backend")
	var proxies []bus.Handler
	for _, h := range handlers {
		proxies = append(proxies, bus.Handler{Description: h.Description, Call: behind.Call})
	}
	serve(t, url, proxies...)
	return client(t, url), backend
}

// Info names the proxy, as the one who answered, and the call to it: that law is
// not for proxies.
func TestLawsHoldThroughAProxy(t *testing.T) {
	kindtest.Laws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller {
		c, _ := proxied(t, handlers...)
		return c
	}, "Info")
}

var proxiedState = staterpc.RPC[string, int, int]{Name: "proxied.state", Version: 1}

func TestErrorsKeepTheirSpeakerThroughAProxy(t *testing.T) {
	broken := errors.New("the disk is full")
	c, backend := proxied(t, proxiedState.Handler(func(_ context.Context, q string) (int, iter.Seq2[int, error], error) {
		if q == "at once" {
			return 0, nil, broken
		}
		return 1, func(yield func(int, error) bool) { _ = yield(2, nil) && yield(0, broken) }, nil
	}))
	f := proxiedState.Client(c)
	for _, q := range []string{"at once", "at the end"} {
		_, updates, err := f(t.Context(), q)
		if err == nil {
			for _, err = range updates {
			}
		}
		e, ok := errors.AsType[*bus.Error](err)
		if !ok || e.Code != bus.Failed || e.Instance != backend.Instance() || e.RPC != proxiedState.Describe() || e.Message != broken.Error() {
			t.Errorf("%s: %#v, want it said by the backend %s", q, err, backend.Instance())
		}
	}
}

// The events of one call have one id on both sides of a connection.
func TestATraceHasOneIDOnBothSides(t *testing.T) {
	var mu sync.Mutex
	ids := map[string][]bus.TraceKind{} // at the responder, by call
	ended := make(chan struct{}, 1)
	trace := bus.Trace(func(ev bus.TraceEvent) {
		mu.Lock()
		defer mu.Unlock()
		ids[ev.CallID] = append(ids[ev.CallID], ev.Kind)
		if ev.Kind == bus.Ended {
			ended <- struct{}{}
		}
	})
	c := pair(t, proxiedState.Handler(func(context.Context, string) (int, iter.Seq2[int, error], error) {
		return 1, func(yield func(int, error) bool) { yield(2, nil) }, nil
	}).With(trace))
	var own []bus.TraceEvent
	traced := bus.Wrap(c, bus.Trace(func(ev bus.TraceEvent) { own = append(own, ev) }))
	_, updates, err := proxiedState.Client(traced)(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for range updates {
	}
	<-ended
	var kinds []bus.TraceKind
	for _, ev := range own {
		kinds = append(kinds, ev.Kind)
	}
	want := []bus.TraceKind{bus.Queried, bus.Accepted, bus.Updated, bus.Ended}
	if !slices.Equal(kinds, want) || !slices.Equal(ids[own[1].CallID], want) {
		t.Errorf("the caller saw %v of %s; the responder saw %v", kinds, own[1].CallID, ids)
	}
}
