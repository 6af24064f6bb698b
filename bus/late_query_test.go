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
	"github.com/durabus/durabus/internal/wire"
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

// TestAServerThatEndsDoesNotWaitForTheRestOfAQuery has a caller whose query comes so
// slowly that it would never be whole, but does not stop.
func TestAServerThatEndsDoesNotWaitForTheRestOfAQuery(t *testing.T) {
	for name, end := range map[string]func(*bus.Server) error{
		"closed": (*bus.Server).Close,
		"drained": func(srv *bus.Server) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := srv.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := raidOn(t)
				o := open(1, bus.Pipe)
				o.Query, o.Total = nil, 1<<20
				r.ask("bad.rest.v1", packet(1, o.Append(nil)))
				r.forget()
				start, ended := time.Now(), make(chan time.Duration, 1)
				go func() {
					if err := end(r.srv); err != nil {
						t.Error(err)
					}
					ended <- time.Since(start)
				}()
				for seq := uint64(1); seq < 5; seq++ {
					time.Sleep(3 * time.Second)
					r.control(packet(seq+1, wire.Chunk{Call: 1, Seq: seq, Data: []byte("x")}.Append(nil)))
				}
				if d := <-ended; d > time.Second {
					t.Errorf("it took %v", d)
				}
				var e *wire.Error
				for _, m := range r.kept() { // beside what is said to all
					if e = errorIn(m.Data); e != nil {
						break
					}
				}
				if e == nil || e.Code != string(bus.Draining) || e.MayHaveRun {
					t.Errorf("the caller was told %+v; want draining, and that the handler has not run", e)
				}
			})
		})
	}
}
