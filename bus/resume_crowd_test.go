// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/transport"
)

// A throng counts how many calls are being answered at a time, each for a while.
type throng struct {
	mu             sync.Mutex
	now, most, all int
}

func (th *throng) add(n int) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.now += n
	th.most = max(th.most, th.now)
	th.all += max(n, 0)
}

func (th *throng) middleware(next bus.CallFunc) bus.CallFunc {
	return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
		th.add(1)
		defer th.add(-1)
		time.Sleep(10 * time.Millisecond)
		return next(ctx, c)
	}
}

// forget returns how many there were at a time and in all, and begins anew.
func (th *throng) forget() (most, all int) {
	th.mu.Lock()
	defer th.mu.Unlock()
	most, all = th.most, th.all
	th.most, th.all = 0, 0
	return most, all
}

// A state costs its responder much, and one that is late already most of all.
func TestADurableStreamAsksASlowResponderOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		var asked atomic.Int64
		var slow atomic.Bool
		var held []transport.Msg
		r.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if strings.HasPrefix(m.Subject, "sums.") {
				asked.Add(1)
			}
			if from == r.far && slow.Load() {
				held = append(held, m)
				return nil
			}
			now := append(held, m)
			held = nil
			return now
		})
		slow.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := follow(ctx, up(sumsV2.Client(r.client)))
		time.Sleep(700 * time.Millisecond) // others are asked again after 500 ms
		slow.Store(false)
		if err := r.near.Publish("nobody", "", nil); err != nil { // what was held goes before it
			t.Error(err)
		}
		time.Sleep(time.Second)
		cancel()
		got := <-done
		if n := asked.Load(); n != 1 || snapshots.Load() != 1 || !slices.Equal(got.events, opened) {
			t.Errorf("asked %d times, %d states were sent, told %q", n, snapshots.Load(), got.events)
		}
	})
}

// One limit holds for those that open, those that are taken up and those that are
// fetched anew, together: half of the streams are of a source that keeps too little.
func TestAThousandStreamsNeverHaveMoreThan64OpeningsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throng
		r := newResuming(t, 10, th.middleware)
		scant := *r
		scant.serve(t, 1, th.middleware)
		defer scant.close(t)
		ctx, cancel := context.WithCancel(t.Context())
		var done []<-chan *replica
		for i := range 1000 {
			at := r.srv
			if i%2 == 0 {
				at = scant.srv
			}
			done = append(done, follow(ctx, sumsV1.Client(r.client.At(at.Instance()))))
		}
		within := func(what string, want int) {
			t.Helper()
			time.Sleep(time.Minute)
			if most, all := th.forget(); most > 64 || most < 32 || all != want {
				t.Errorf("%s: %d openings at a time, %d in all, want at most 64 and %d", what, most, all, want)
			}
		}
		within("at first", 1000)
		r.near.Freeze(true)
		for _, p := range []*resuming{r, &scant} {
			p.publish(3, 0, 8)
		}
		r.near.Disconnect()
		r.near.Freeze(false)
		r.near.Reconnect()
		within("after an outage", 1500) // half of them twice: refused, and anew
		cancel()
		count := map[string]int{}
		for _, d := range done {
			got := <-d
			if got.sum != 11 {
				t.Fatalf("sum %d", got.sum)
			}
			for _, e := range got.events {
				count[e]++
			}
		}
		if count[durable.Resumed.String()] != 500 || count[durable.Snapshot.String()] != 1500 {
			t.Errorf("told %v", count)
		}
	})
}
