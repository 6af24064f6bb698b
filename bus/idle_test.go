// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bus_test

import (
	"context"
	"iter"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
)

// TestAStreamThatIdlesKeepsASmallStack though its handler needed a large one to
// begin, and asks for its context where it idles: the 2 KiB that it begins with.
// The race detector is not for this test: its frames are larger.
func TestAStreamThatIdlesKeepsASmallStack(t *testing.T) {
	rpc := piperpc.RPC[[]byte, []byte]{Name: "idle", Version: 1}
	waiting := make(chan struct{})
	s := newSink()
	srv, err := bus.ServeOn(s, bus.Service{Name: "test"}, rpc.Handler(func(ctx context.Context, q []byte) (iter.Seq2[[]byte, error], error) {
		deep(100)
		return func(func([]byte, error) bool) {
			waiting <- struct{}{}
			<-ctx.Done()
		}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		go func() {
			for range s.ended {
			}
		}()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		close(s.ended)
	}()
	smallStacks(t)
	const n = 500
	before := stacks()
	for call := range uint64(n) {
		s.open(call+1, rpc.Describe())
		<-waiting
	}
	if got := (stacks() - before) / n; got > 3<<10 {
		t.Errorf("each idle stream keeps %d bytes of stack, want at most 3 KiB", got)
	}
}

// smallStacks has goroutines begin with 2 KiB until the test is over: with each
// collection the runtime takes the average of those there are.
func smallStacks(t *testing.T) {
	percent := debug.SetGCPercent(-1)
	end := make(chan struct{})
	var idle sync.WaitGroup
	for range 1000 {
		idle.Go(func() { <-end })
	}
	t.Cleanup(func() {
		close(end)
		idle.Wait()
		debug.SetGCPercent(percent)
	})
	runtime.GC()
}

// deep needs n KiB of stack.
func deep(n int) string {
	if n == 0 {
		return ""
	}
	var b [1 << 10]byte
	return strings.TrimSpace(deep(n-1) + string(b[:n%2]))
}

func stacks() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse)
}
