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

// That nothing came is not that nobody is there: what the answers would have been
// is not known.
func TestAQuestionThatWasLostWithTheConnectionIsNotAnsweredByNobody(t *testing.T) {
	for _, o := range []struct {
		name string
		away time.Duration
		want error
	}{
		{"for long", time.Minute, bus.Disconnected},
		{"for a moment", 100 * time.Millisecond, nil},
	} {
		t.Run(o.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transport.NewNet(1)
				near := net.Dial()
				rpc := unaryrpc.RPC[int, int]{Name: "work", Version: 1}
				srv, err := bus.ServeOn(net.Dial(), bus.Service{}, rpc.Handler(func(_ context.Context, n int) (int, error) { return n, nil }))
				if err != nil {
					t.Fatal(err)
				}
				c := bus.NewClientOn(near, bus.ClientOptions{})
				ids, err := c.Instances(t.Context())
				if err != nil || len(ids) != 1 {
					t.Fatal(ids, err)
				}
				const questions = 3
				lost := make(chan struct{}, questions)
				net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
					if from == near && strings.HasPrefix(m.Subject, "_D.m.") && len(lost) < questions {
						lost <- struct{}{}
						return nil
					}
					return []transport.Msg{m}
				})
				type end struct {
					what  string
					found int
					err   error
				}
				ends := make(chan end, questions)
				for what, c := range map[string]*bus.Client{"what is served": c, "what one serves": c.WithInstance(ids[0])} {
					go func() {
						versions, err := c.Served(t.Context(), "work")
						ends <- end{what, len(versions), err}
					}()
				}
				go func() {
					ids, err := c.Instances(t.Context())
					ends <- end{"who is there", len(ids), err}
				}()
				time.Sleep(time.Millisecond)
				near.Disconnect()
				time.Sleep(o.away)
				near.Reconnect()
				for range questions {
					if e := <-ends; !errors.Is(e.err, o.want) || o.want == nil && e.found != 1 {
						t.Errorf("%s: found %d, %v; want 1, %v", e.what, e.found, e.err, o.want)
					}
				}
				if err := errors.Join(c.Close(), srv.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
