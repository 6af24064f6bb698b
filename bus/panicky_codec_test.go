// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

// A blindCodec panics whatever it is to decode.
type blindCodec struct{ bus.Codec }

func (blindCodec) Decode([]byte, any) error { panic("blind") }

// The program may recover the panic, as one that serves HTTP does, and nobody has
// the stream then.
func TestAStreamWhoseStateCannotBeDecodedWithoutAPanicIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rpc := staterpc.RPC[int, int, int]{Name: "endless", Version: 1}
		released := make(chan struct{})
		client := dial(t, rpc.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[int, error], error) {
			return 1, func(func(int, error) bool) {
				<-ctx.Done()
				close(released)
			}, nil
		}))
		rpc.Codec = blindCodec{bus.JSON}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the codec did not panic")
				}
			}()
			_, _, err := rpc.Client(client)(t.Context(), 1)
			t.Error(err)
		}()
		select {
		case <-released:
		case <-time.After(time.Minute):
			t.Error("the responder still has the stream")
		}
	})
}
