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

// The end of a stream may be here when its client is closed, and not read yet.
func TestAStreamThatHadComeToItsEndIsOverWhenItsClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		three := piperpc.RPC[int, int]{Name: "three", Version: 1}
		client := dial(t, three.Handler(func(context.Context, int) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				time.Sleep(time.Second) // so that they come behind the beginning, and not with it
				_ = yield(1, nil) && yield(2, nil) && yield(3, nil)
			}, nil
		}))
		updates, err := three.Client(client)(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		ended := endOf(updates)
		select {
		case err := <-ended:
			if !errors.Is(err, bus.Canceled) {
				t.Errorf("it ended with %v, want %v", err, bus.Canceled)
			}
		case <-time.After(time.Minute):
			t.Error("the loop still waits")
		}
	})
}
