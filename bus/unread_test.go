// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/piperpc"
)

// A stream's window is 256 KiB at first, and grows for those who read alone.
func TestAHandlerWhoseReaderDoesNotReadStopsAtTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, enough = 10 << 10, 1000
		var made atomic.Int64
		rpc := piperpc.RPC[int, []byte]{Name: "write", Version: 1}
		f := rpc.Client(dial(t, rpc.Handler(func(context.Context, int) (iter.Seq2[[]byte, error], error) {
			return func(yield func([]byte, error) bool) {
				for made.Add(1) < enough && yield(make([]byte, size), nil) {
				}
			}, nil
		})))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		updates, err := f(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := made.Load(); n < 20 || n > 30 {
			t.Errorf("the handler has made %d updates of %d bytes", n, size)
		}
		n := 0
		for _, err := range updates {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != enough-1 {
			t.Errorf("%d updates were read", n)
		}
	})
}
