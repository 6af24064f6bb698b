// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

func TestAResumeThatDoesNotSayHowLongToWaitAsksAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 100)
		ctx, cancel := context.WithCancel(bus.WithResume(t.Context(), bus.Resume{}))
		defer cancel()
		_, updates, err := sumsV2.Client(r.client)(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		ended := endOf(updates)
		synctest.Wait()
		r.near.Disconnect()
		r.far.Disconnect() // for longer than the caller
		time.Sleep(7 * time.Second)
		var asked []time.Time
		r.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if kind, _, _, err := wire.Next(m.Data); err == nil && kind == wire.KindOpen {
				if asked = append(asked, time.Now()); len(asked) > 1000 {
					cancel() // or the test would never end
				}
			}
			return []transport.Msg{m}
		})
		back := time.Now()
		r.near.Reconnect()
		if err := <-ended; !bus.EndsStream(err) {
			t.Error(err)
		}
		if len(asked) < 2 || len(asked) > 1000 || !asked[0].Equal(back) {
			t.Errorf("it was asked %d times, want a few hundred at most and the first at once", len(asked))
		}
		r.far.Reconnect()
	})
}
