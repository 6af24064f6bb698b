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
	"github.com/durabus/durabus/piperpc"
)

// An unwritable panics when it is encoded, as what is nil may.
type unwritable bool

func (u unwritable) MarshalJSON() ([]byte, error) {
	if u {
		panic("it has no value")
	}
	return []byte("false"), nil
}

// The engine encodes updates after the handler has yielded them, so no guard of
// the handler's is there.
func TestAnUpdateWhoseEncodingPanicsEndsItsStreamAlone(t *testing.T) {
	rpc := piperpc.RPC[int, unwritable]{Name: "odd", Version: 1}
	handler := rpc.Handler(func(ctx context.Context, _ int) (iter.Seq2[unwritable, error], error) {
		return func(yield func(unwritable, error) bool) {
			time.Sleep(time.Second)
			_ = yield(false, nil) && yield(true, nil) && yield(false, nil)
		}, nil
	})
	for name, h := range map[string]bus.Handler{"a stream of its own": handler, "a shared one": handler.Shared()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dial(t, h, naming("other"))
				updates, err := rpc.Client(client)(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, err = range updates {
					if err == nil {
						n++
					}
				}
				if n != 1 || !errors.Is(err, bus.Panicked) {
					t.Errorf("%d updates, then %v; want one, then Panicked", n, err)
				}
				if got, err := nameRPC.Client(client)(t.Context(), ""); got != "other" || err != nil {
					t.Errorf("another call: %q, %v", got, err)
				}
			})
		})
	}
}
