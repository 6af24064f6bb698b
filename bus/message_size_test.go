// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// TestALongAnswerOfAnOutageStaysInPieces has a caller that gives credit for all of an
// answer at once, and a handler that returns it while there is no connection.
func TestALongAnswerOfAnOutageStaysInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 2 << 20
		f := newFleet(t)
		conn := f.net.Dial()
		rpc := unaryrpc.RPC[int, []byte]{Name: "long", Version: 1}
		srv, err := bus.ServeOn(conn, bus.Service{}, rpc.Handler(func(context.Context, int) ([]byte, error) {
			time.Sleep(10 * time.Millisecond)
			return make([]byte, long), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		caller := newHostile(t, f.net, "hostile")
		o := open(1, bus.Unary)
		o.Credit, o.PeerCredit = 64<<20, 64<<20
		if err := caller.conn.Publish("long.v1", "hostile.reply", packet(1, o.Append(nil))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		conn.Disconnect()
		time.Sleep(50 * time.Millisecond)
		conn.Reconnect()
		synctest.Wait()
		got, next := 0, uint64(2)
		for _, m := range caller.kept() {
			if len(m.Data) > 256<<10 {
				t.Errorf("a message of %d bytes", len(m.Data))
			}
			for rest := m.Data; ; {
				kind, body, more, err := wire.Next(rest)
				if err != nil {
					t.Fatal(err)
				}
				var piece wire.Chunk
				if kind == wire.KindChunk && piece.Parse(body) == nil && piece.Seq == next {
					got, next = got+len(piece.Data), next+1
				}
				if rest = more; kind == 0 {
					break
				}
			}
		}
		if got != long {
			t.Errorf("%d bytes of %d came, in order", got, long)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAnUpdateTooLongForAFeedIsNotPublishedOnIt has a broker's limits hold for feeds,
// too: their readers get the update by streams of their own.
func TestAnUpdateTooLongForAFeedIsNotPublishedOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		longest := 0
		f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			longest = max(longest, len(m.Data))
			return []transport.Msg{m}
		})
		rpc := staterpc.RPC[int, int, []byte]{Name: "long", Version: 1}
		pub := staterpc.NewPublisher(0, func(n int, u []byte) int { return n + len(u) }, 10)
		f.serve(bus.Service{}, rpc.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[[]byte, error], error) {
			return pub.Watch(ctx)
		}).Shared())
		open := rpc.Client(f.client(bus.ClientOptions{}))
		_, updates, err := open(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		pub.Publish(make([]byte, 3<<20))
		for _, err = range updates {
		}
		if !errors.Is(err, bus.Lost) {
			t.Errorf("the feed ended with %v, want Lost", err)
		}
		if n, _, err := open(t.Context(), 0); n != 3<<20 || err != nil {
			t.Errorf("the state behind it: %d, %v", n, err)
		}
		if f.net.Tap(nil); longest > 256<<10 {
			t.Errorf("a message of %d bytes", longest)
		}
	})
}
