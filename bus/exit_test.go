// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// Handlers of tests end their goroutine when they fail.
func TestACallWhoseHandlerEndsItsGoroutineIsAnsweredAndGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rpc := unaryrpc.RPC[bool, int]{Name: "exit", Version: 1}
		f := newFleet(t)
		f.serve(bus.Service{Limit: 1}, rpc.Handler(func(_ context.Context, exit bool) (int, error) {
			if exit {
				runtime.Goexit()
			}
			return 1, nil
		}))
		call := rpc.Client(f.client(bus.ClientOptions{}))
		start := time.Now()
		if _, err := call(t.Context(), true); !errors.Is(err, bus.Panicked) || time.Since(start) > 0 {
			t.Errorf("%v after %v; want Panicked at once", err, time.Since(start))
		}
		if got, err := call(t.Context(), false); got != 1 || err != nil {
			t.Errorf("the next call: %d, %v", got, err)
		}
	})
}

func TestAStreamWhoseHandlerEndsItsGoroutineEnds(t *testing.T) {
	rpc := piperpc.RPC[int, int]{Name: "exit", Version: 1}
	opening := func(context.Context, int) (iter.Seq2[int, error], error) {
		runtime.Goexit()
		return nil, nil
	}
	updating := func(context.Context, int) (iter.Seq2[int, error], error) {
		return func(func(int, error) bool) {
			time.Sleep(time.Second)
			runtime.Goexit()
		}, nil
	}
	runs := 0
	second := func(context.Context, int) (iter.Seq2[int, error], error) {
		if runs++; runs == 2 { // that of the feed
			runtime.Goexit()
		}
		return nil, nil
	}
	for name, c := range map[string]struct {
		h    bus.Handler
		want error
	}{
		"at its opening":             {rpc.Handler(opening), bus.Panicked},
		"while it is open":           {rpc.Handler(updating), bus.Lost},
		"a shared one, as it begins": {rpc.Handler(second).Shared(), nil}, // it has one of its own
		"a shared one, while open":   {rpc.Handler(updating).Shared(), bus.Panicked},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				srv := f.serve(bus.Service{MaxStreamAge: time.Hour}, c.h)
				updates, err := rpc.Client(f.client(bus.ClientOptions{}))(t.Context(), 0)
				if err == nil {
					for _, err = range updates {
						t.Log(err)
					}
				}
				if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%v; want %v", err, c.want)
				}
				synctest.Wait()
				if open := srv.Snapshot().Streams; len(open) > 0 {
					t.Errorf("still open: %+v", open)
				}
			})
		})
	}
}
