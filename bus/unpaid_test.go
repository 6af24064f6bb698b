// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/wire"
)

// TestAReaderThatTakesNotEvenTheLastUpdatesIsStalled has a handler end while its last
// updates wait for credit that its caller, which is alive, never gives.
func TestAReaderThatTakesNotEvenTheLastUpdatesIsStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		srv := f.serve(bus.Service{}, tickRPC.Handler(func(context.Context, int) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) { yield(1, nil) }, nil
		}))
		r := &raid{t: t, srv: srv, hostile: newHostile(t, f.net, "hostile")}
		o := open(1, bus.Pipe)
		o.PeerCredit = 0
		r.ask("tick.v1", packet(1, o.Append(nil)))
		alive := wire.Beat{From: o.Client, Full: true, Calls: []wire.BeatCall{{Call: 1}}}.Append(nil)
		start := time.Now()
		var end *wire.Error
		for end == nil && time.Since(start) < 2*time.Minute {
			time.Sleep(time.Second)
			r.forget()
			r.control(packet(2, alive))
			for _, m := range r.kept() {
				if e := errorIn(m.Data); e != nil {
					end = e
				}
			}
		}
		if end == nil || end.Code != string(bus.Stalled) || time.Since(start) > 61*time.Second {
			t.Errorf("after %v it ended with %+v; want stalled after a minute", time.Since(start), end)
		}
		if open := srv.Snapshot().Streams; len(open) > 0 {
			t.Errorf("still open: %+v", open)
		}
	})
}
