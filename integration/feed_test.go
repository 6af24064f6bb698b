// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/staterpc"
)

var counting = staterpc.RPC[string, int, int]{Name: "counting", Version: 1}

func newCount() *staterpc.Publisher[int, int] {
	return staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 1<<16)
}

func countOf(p *staterpc.Publisher[int, int], mw ...bus.Middleware) bus.Handler {
	return counting.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
		return p.Watch(ctx)
	}).With(mw...).Shared()
}

// readCount reads until the sum is want, each reader from wherever it joins.
func readCount(ctx context.Context, c bus.Caller, want int) error {
	sum, updates, err := counting.Client(c)(ctx, "")
	if err != nil || sum == want {
		return err
	}
	for u, err := range updates {
		if err != nil {
			return fmt.Errorf("at %d of %d: %w", sum, want, err)
		}
		if sum += u; sum >= want {
			break
		}
	}
	if sum != want {
		return fmt.Errorf("sum %d, want %d", sum, want)
	}
	return nil
}

func TestReadersWhoJoinABusyFeedMissNothing(t *testing.T) {
	t.Parallel()
	cluster := runCluster(t, broker.Options{})
	pub := newCount()
	serve(t, cluster[0].URL(), countOf(pub))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const clients, readers, updates = 3, 40, 20_000
	callers := make([]bus.Caller, clients)
	for i := range callers {
		callers[i] = client(t, cluster[i].URL())
	}
	var published atomic.Int64
	errs := make(chan error, clients*readers)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range updates {
			pub.Publish(1)
			published.Add(1)
			if i%20 == 0 { // readers join all along
				select {
				case <-time.After(100 * time.Microsecond):
				case <-ctx.Done():
					return
				}
			}
		}
	})
	for i := range clients * readers {
		wg.Go(func() {
			for published.Load() < int64(updates/2*i/(clients*readers)) {
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
				}
			}
			errs <- readCount(ctx, callers[i%clients], updates)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestWithoutPermissionForFeedsStreamsArePrivate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what          string
		caller, other broker.Subjects
	}{
		{"the caller may not subscribe", broker.Subjects{Deny: []string{"_D.f.>"}}, broker.Subjects{}},
		{"the responder may not publish", broker.Subjects{}, broker.Subjects{Deny: []string{"_D.f.>"}}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			url := runBroker(t, broker.Options{Users: []broker.User{
				{Name: "caller", Password: "caller", Subscribe: tt.caller},
				{Name: "responder", Password: "responder", Publish: tt.other},
			}}).URL()
			quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
			pub := newCount()
			srv, err := bus.Serve(connect(t, url, nats.UserInfo("responder", "responder"), quiet), bus.Service{Name: "test"}, countOf(pub))
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Close()
			c := bus.NewClient(connect(t, url, nats.UserInfo("caller", "caller"), quiet), bus.ClientOptions{})
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			sum, updates, err := counting.Client(c)(ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			pub.Publish(7)
			for u, err := range updates {
				if sum += u; err != nil || sum != 7 {
					t.Errorf("sum %d, %v", sum, err)
				}
				break
			}
		})
	}
}

// TestADurableStateOverFeedsMovesWithADrain has each of two responders hold the
// same count; one drains.
func TestADurableStateOverFeedsMovesWithADrain(t *testing.T) {
	t.Parallel()
	url := runBroker(t, broker.Options{}).URL()
	pubs := [2]*staterpc.Publisher[int, int]{newCount(), newCount()}
	srvs := map[string]*bus.Server{}
	for _, p := range pubs {
		srv := serve(t, url, countOf(p))
		srvs[srv.Instance()] = srv
	}
	feeds := connect(t, url) // of their own
	c := bus.NewClient(connect(t, url), bus.ClientOptions{Feeds: feeds})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sum, moved := 0, false
	var drained sync.WaitGroup
	for e := range durable.State(ctx, counting.Client(c), "", durable.Policy{}) {
		switch e.Kind {
		case durable.Connected:
			srv := srvs[e.Info.Instance]
			delete(srvs, e.Info.Instance)
			if !moved {
				moved = true
				drained.Go(func() {
					for _, p := range pubs {
						p.Publish(1)
					}
					if err := srv.Drain(ctx); err != nil {
						t.Error(err)
					}
					for _, p := range pubs {
						p.Publish(10)
					}
				})
			}
		case durable.Snapshot:
			sum = e.State
		case durable.Update:
			sum += e.Update
		}
		if sum == 11 {
			break
		}
	}
	drained.Wait()
	if sum != 11 || len(srvs) != 0 {
		t.Errorf("sum %d; %d responders were not used", sum, len(srvs))
	}
}
