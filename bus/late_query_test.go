// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

func TestAHandlerDoesNotStartWhoseQueryIsWholeAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		measure := unaryrpc.RPC[[]byte, int]{Name: "measure", Version: 1}
		runs := 0
		srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test"}, measure.Handler(func(_ context.Context, b []byte) (int, error) {
			runs++
			return len(b), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var late []transport.Msg
		net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if strings.HasPrefix(m.Subject, "_D.c.") {
				late = append(late, m) // pieces of the query, and its cancellation
				if ctx.Err() == nil {
					return nil
				}
				return late
			}
			return []transport.Msg{m}
		})
		if _, err = measure.Client(client)(ctx, make([]byte, 400<<10)); !errors.Is(err, bus.Expired) {
			t.Errorf("the call ended with %v", err)
		}
		time.Sleep(time.Second)
		net.Tap(nil) // and late is ours
		if runs > 0 || len(late) < 3 {
			t.Errorf("the handler ran %d times; %d messages were late", runs, len(late))
		}
		client.Close()
		srv.Close()
	})
}
