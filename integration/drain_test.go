// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
)

// Four callers make more than 200 calls a second at two responders, one of
// which leaves and comes back again and again.
func TestDrainsUnderLoadFailNothing(t *testing.T) {
	url := runBroker(t, broker.Options{}).URL()
	serve(t, url, bystanders()...)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var calls, failed atomic.Int64
	for range 4 {
		echo := bystanderEcho.Client(client(t, url))
		wg.Go(func() {
			for ctx.Err() == nil {
				calls.Add(1)
				if s, err := echo(t.Context(), "?"); s != "?" || err != nil {
					failed.Add(1)
					t.Error("a call:", err)
				}
				pace(ctx, 5*time.Millisecond)
			}
		})
	}
	for range 8 {
		drainOne(t, url)
	}
	stop()
	wg.Wait()
	t.Logf("%d calls, %d failed", calls.Load(), failed.Load())
}

// drainOne serves until it has been called 20 times and drains then, with a
// stream open.
func drainOne(t *testing.T, url string) {
	t.Helper()
	called := make(chan struct{}, 1000)
	count := func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			select {
			case called <- struct{}{}:
			default:
			}
			return next(ctx, c)
		}
	}
	srv, err := bus.Serve(connect(t, url), bus.Service{Middleware: []bus.Middleware{count}}, bystanders()...)
	if err != nil {
		t.Fatal(err)
	}
	updates, err := bystanderCount.Client(client(t, url).WithInstance(srv.Instance()))(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	streamed := make(chan error, 1)
	go func() {
		var n int
		var err error
		for n, err = range updates {
			if n%1000 == 0 { // leave the machine to the callers
				pace(t.Context(), 10*time.Millisecond)
			}
		}
		streamed <- err
	}()
	for range 20 {
		<-called
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := srv.Drain(ctx); err != nil {
		t.Error("Drain:", err)
	}
	if err := <-streamed; !errors.Is(err, bus.Draining) {
		t.Errorf("the stream: %v, want Draining", err)
	}
}
