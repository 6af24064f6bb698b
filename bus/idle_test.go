// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bus_test

import (
	"context"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
)

// TestAStreamThatIdlesKeepsASmallStack though its handler needed a large one to
// begin: 2 KiB, or 4 if the runtime starts all goroutines so. The race detector is
// not for this test: its frames are larger.
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
	const n = 500
	before := stacks()
	for call := range uint64(n) {
		s.open(call+1, rpc.Describe())
		<-waiting
	}
	if got := (stacks() - before) / n; got > 6<<10 {
		t.Errorf("each idle stream keeps %d bytes of stack, want at most 6 KiB", got)
	}
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
