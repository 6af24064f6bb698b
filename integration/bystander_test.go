// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

var (
	bystanderCount = piperpc.RPC[int, int]{Name: "good.count", Version: 1}
	bystanderEcho  = unaryrpc.RPC[string, string]{Name: "good.echo", Version: 1}
)

func bystanders() []bus.Handler {
	return []bus.Handler{
		bystanderCount.Handler(func(ctx context.Context, from int) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				for n := from; ctx.Err() == nil && yield(n, nil); n++ {
				}
			}, nil
		}),
		bystanderEcho.Handler(func(_ context.Context, s string) (string, error) { return s, nil }),
	}
}

// A bystander is a stream and a row of calls on a connection where other things
// go wrong, which must not be seen in either.
type bystander struct {
	end            context.CancelFunc
	wg             sync.WaitGroup
	updates, calls int // once it has stopped
	err            error
}

// beside starts a bystander on c. Its stop must be called.
func beside(t *testing.T, c bus.Caller) *bystander {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &bystander{end: cancel}
	updates, err := bystanderCount.Client(c)(ctx, 1)
	if err != nil {
		cancel()
		t.Fatal("opening the bystander's stream:", err)
	}
	b.wg.Go(func() {
		for n, err := range updates {
			if ctx.Err() != nil {
				return
			}
			if b.updates++; err != nil || n != b.updates {
				b.err = errors.Join(errors.New("the stream broke"), err)
				return
			}
			if n%1000 == 0 { // leave the machine to others
				pace(ctx, 10*time.Millisecond)
			}
		}
	})
	var callErr error
	b.wg.Go(func() {
		for ctx.Err() == nil {
			if s, err := bystanderEcho.Client(c)(ctx, "?"); ctx.Err() == nil && (s != "?" || err != nil) {
				callErr = errors.Join(errors.New("a call failed"), err)
				return
			}
			b.calls++
			pace(ctx, time.Millisecond)
		}
	})
	t.Cleanup(func() {
		cancel()
		b.wg.Wait()
		if callErr != nil {
			t.Error("bystander:", callErr)
		}
	})
	return b
}

// stop ends the bystander and fails the test if it was disturbed.
func (b *bystander) stop(t *testing.T) {
	t.Helper()
	b.end()
	b.wg.Wait()
	t.Logf("beside it: %d updates, %d calls", b.updates, b.calls)
	if b.err != nil || b.updates == 0 || b.calls == 0 {
		t.Error("bystander:", b.err)
	}
}

// pace is the rate of a workload: it waits for d or for ctx.
func pace(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
