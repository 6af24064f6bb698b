// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
)

// bulkyRPC yields updates that each take a message, for ever.
var bulkyRPC = piperpc.RPC[int, []byte]{Name: "bulky", Version: 1}

func bulky(ctx context.Context, _ int) (iter.Seq2[[]byte, error], error) {
	return func(yield func([]byte, error) bool) {
		for ctx.Err() == nil && yield(make([]byte, 20_000), nil) {
		}
	}, nil
}

// A loop whose context ends while it has an update in hand may be about to want a
// larger window.
func TestACallThatEndsInMidLoopGivesBackWhatItReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{}, bulkyRPC.Handler(bulky))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		grew := false
		for enough := range 60 {
			ctx, cancel := context.WithCancel(t.Context())
			updates, err := bulkyRPC.Client(client)(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for range updates {
				if n++; n == enough+1 {
					grew = grew || client.Snapshot().Held.Values > 0
					cancel()
					synctest.Wait() // until the call is over
				}
			}
			cancel()
			if held := client.Snapshot().Held; held.Values != 0 {
				t.Fatalf("after %d updates %d bytes are reserved for a call that is over", n, held.Values)
			}
		}
		if !grew {
			t.Error("no window grew")
		}
	})
}

func TestWhatIsHeldIsGivenBackWhenEverybodyHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		srv, err := bus.ServeOn(net.Dial(), bus.Service{}, bulkyRPC.Handler(bulky))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		updates, err := bulkyRPC.Client(client)(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range updates {
			if n++; n == 1000 {
				break
			}
		}
		if h := client.Snapshot().Held; h.Peers != 1 || h.Calls != 1 || h.Windows < 256<<10 {
			t.Errorf("a client that reads holds %+v", h)
		}
		if h := srv.Snapshot().Held; h.Peers != 1 {
			t.Errorf("a server with a reader holds %+v", h)
		}
		cancel()
		time.Sleep(31 * time.Second)
		for _, h := range []bus.Held{client.Snapshot().Held, srv.Snapshot().Held} {
			if h != (bus.Held{}) {
				t.Errorf("%+v is still held", h)
			}
		}
	})
}
