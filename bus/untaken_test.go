// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
)

// An absence is a responder and its caller, whose requests are noted.
type absence struct {
	near, far *transport.SimConn
	client    *bus.Client
	requests  []time.Duration // that were sent, since the responder was cut off
	since     time.Time
}

func newAbsence(t *testing.T) *absence {
	net := transport.NewNet(1)
	a := &absence{near: net.Dial(), far: net.Dial()}
	a.client = bus.NewClientOn(a.near, bus.ClientOptions{})
	srv, err := bus.ServeOn(a.far, bus.Service{}, addRPC.Handler(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(a.client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
	net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
		if strings.HasPrefix(m.Subject, "bad.add.") {
			a.requests = append(a.requests, time.Since(a.since))
		}
		return []transport.Msg{m}
	})
	return a
}

// away cuts the responder off for d.
func (a *absence) away(d time.Duration) {
	a.requests, a.since = nil, time.Now()
	absent(a.far, d)
}

func TestACallThatFoundNobodyIsSentAgainWhenSomebodyIsAnnounced(t *testing.T) {
	for _, tt := range []struct {
		name string
		away time.Duration
		sent int // requests
	}{
		{"before the first retry", 2 * time.Millisecond, 2},
		{"before the second", 6 * time.Millisecond, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAbsence(t)
				for range 20 {
					a.away(tt.away)
					if n, err := addRPC.Client(a.client)(t.Context(), 1); n != 2 || err != nil {
						t.Fatalf("answered %d, %v", n, err)
					}
					last := a.requests[len(a.requests)-1]
					if len(a.requests) != tt.sent || last < tt.away || last >= tt.away+5*time.Millisecond {
						t.Errorf("%d requests, the last of them %v after the responder was cut off", len(a.requests), last)
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

// A responder that was known before it was away is news when it is back.
func TestAnErrorKnowsWhenWhoWasKnownIsBackFromEachOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAbsence(t)
		for range 3 {
			a.away(100 * time.Millisecond)
			_, err := addRPC.Client(a.client)(t.Context(), 1)
			e, ok := errors.AsType[*bus.Error](err)
			if !ok || e.Code != bus.NoResponder || e.Again == nil {
				t.Fatalf("got %v", err)
			}
			select {
			case <-e.Again:
				if d := time.Since(a.since); d != 100*time.Millisecond {
					t.Errorf("a retry is said to help %v after the responder was cut off", d)
				}
			case <-time.After(time.Second):
				t.Error("nothing says that a retry helps")
			}
			if n, err := addRPC.Client(a.client)(t.Context(), 1); n != 2 || err != nil {
				t.Errorf("answered %d, %v", n, err)
			}
			time.Sleep(time.Second)
		}
	})
}
