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

// A textless has no text where it is nil, as an error of that type is which somebody
// returned by mistake.
type textless struct{ text string }

func (e *textless) Error() string { return e.text }

func TestAnErrorWhoseTextPanicsEndsItsCallAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := bus.Handler{Description: tickRPC.Describe(), Call: func(context.Context, bus.Call) (bus.Reply, error) {
			return bus.Reply{Updates: func(yield func(bus.Element, error) bool) { yield(bus.Element{}, (*textless)(nil)) }}, nil
		}}
		f := newFleet(t)
		f.serve(bus.Service{Middleware: []bus.Middleware{func(next bus.CallFunc) bus.CallFunc {
			return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
				r, err := next(ctx, c)
				if c.Name == nameRPC.Name {
					err = (*textless)(nil)
				}
				return r, err
			}
		}}}, naming("x"), pipe)
		c := f.client(bus.ClientOptions{})
		if _, err := nameRPC.Client(c)(t.Context(), ""); !errors.Is(err, bus.Panicked) {
			t.Errorf("the call: %v, want Panicked", err)
		}
		if err := readTicks(t.Context(), c, 0); !errors.Is(err, bus.Panicked) {
			t.Errorf("the stream: %v, want Panicked", err)
		}
	})
}
