// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

// A standstill holds all messages of a net, as a broker does that stands still, and
// delivers a connection's when it goes on.
type standstill struct {
	net *transport.Net
	of  *transport.SimConn

	mu   sync.Mutex
	held []transport.Msg
}

func stopBroker(net *transport.Net, of *transport.SimConn) *standstill {
	s := &standstill{net: net, of: of}
	net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
		s.mu.Lock()
		defer s.mu.Unlock()
		if from == of {
			s.held = append(s.held, m)
		}
		return []transport.Msg{{Subject: "nobody"}}
	})
	return s
}

func (s *standstill) goOn(t *testing.T) {
	t.Helper()
	s.net.Tap(nil)
	for _, m := range s.held {
		if err := s.of.PublishMsg(m); err != nil {
			t.Error(err)
		}
	}
}

// A responder that takes a client for dead, since their broker stands still, does
// not carry out afterwards what the broker had: the client has given it up long ago.
func TestARequestThatOutlivedItsClientsSessionIsNotCarriedOut(t *testing.T) {
	for name, still := range map[string]time.Duration{"taken for dead": 8 * time.Second, "forgotten": 14 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transport.NewNet(1)
				near, far := net.Dial(), net.Dial()
				started := make(chan int, 10)
				rpc := unaryrpc.RPC[int, int]{Name: "late", Version: 1}
				srv, err := bus.ServeOn(far, bus.Service{}, rpc.Handler(func(ctx context.Context, n int) (int, error) {
					started <- n
					if n == 0 { // for long, so that the two watch each other
						<-ctx.Done()
					}
					return n, ctx.Err()
				}))
				if err != nil {
					t.Fatal(err)
				}
				c := bus.NewClientOn(near, bus.ClientOptions{})
				defer func() {
					if err := errors.Join(c.Close(), srv.Close()); err != nil {
						t.Error(err)
					}
				}()
				call := func(n int) error {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					_, err := rpc.Client(c)(ctx, n)
					return err
				}
				if err := call(1); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = rpc.Client(c)(t.Context(), 0) }()
				time.Sleep(time.Second)
				broker := stopBroker(net, near)
				if err := call(2); !errors.Is(err, bus.NoAnswer) {
					t.Errorf("a call while the broker stands still: %v", err)
				}
				time.Sleep(still)
				broker.goOn(t)
				time.Sleep(time.Second)
				if err := call(3); err != nil {
					t.Error(err)
				}
				close(started)
				for n := range started {
					if n == 2 {
						t.Error("it was carried out when its caller had given it up")
					}
				}
			})
		})
	}
}
