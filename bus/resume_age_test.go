// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// A caller's clock stands still while its machine sleeps, and its responder
// remembers how it went before: all requests seem to be old then, and the one that
// takes a stream up as well.
func TestAStreamIsTakenUpThoughItsCallersClockStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 100)
		opens, lose := 0, false
		r.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			kind, body, _, err := wire.Next(m.Data)
			switch {
			case from == r.far && err == nil && kind == wire.KindData && lose:
				lose = false
				return nil
			case from == r.near && err == nil && kind == wire.KindOpen:
				var o wire.Open
				if err := o.Parse(body); err != nil {
					t.Error(err)
				}
				if opens++; opens == 1 { // as it would be had the clock not stood still since
					o.SentUS += uint64((10 * time.Second).Microseconds())
				}
				m.Data = packet(o.Call, o.Append(nil))
			}
			return []transport.Msg{m}
		})
		ctx, cancel := context.WithCancel(bus.WithResume(t.Context(), bus.Resume{Wait: func(int) time.Duration { return time.Millisecond }}))
		defer cancel()
		_, updates, err := sumsV2.Client(r.client)(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		var last error
		done := make(chan struct{})
		go func() {
			defer close(done)
			for u, err := range updates {
				if err == nil {
					got = append(got, u)
				}
				last = err
			}
		}()
		for i := range 4 {
			synctest.Wait()
			lose = i == 1
			r.pub.Publish(i)
		}
		time.Sleep(10 * time.Second)
		cancel()
		<-done
		if !slices.Equal(got, []int{0, 1, 2, 3}) || !errors.Is(last, bus.Canceled) || opens != 3 {
			t.Errorf("read %v, then %v, after %d requests; want 3 requests", got, last, opens)
		}
	})
}
