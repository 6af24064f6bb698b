// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/unaryrpc"
)

// A stuckConn is blocked while there is a channel, but for short messages.
type stuckConn struct {
	*transport.SimConn
	left atomic.Pointer[chan struct{}]
}

func (c *stuckConn) Blocked(size int) <-chan struct{} {
	if left := c.left.Load(); left != nil && size > 4<<10 {
		return *left
	}
	return nil
}

func (c *stuckConn) block() {
	left := make(chan struct{})
	c.left.Store(&left)
}

func (c *stuckConn) unblock() { close(*c.left.Swap(nil)) }

func TestACallWaitsForWhatWasPublishedBeforeAndNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		conn := &stuckConn{SimConn: p.near}
		client := bus.NewClientOn(conn, bus.ClientOptions{})
		call := func(ctx context.Context) error {
			_, err := holdRPC.Client(client)(ctx, 1)
			return err
		}
		conn.block()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := call(ctx)
		if e, ok := errors.AsType[*bus.Error](err); !ok || e.Code != bus.Expired || e.MayHaveRun || time.Since(began) != time.Second {
			t.Errorf("with a second to go it ended after %v: %#v", time.Since(began), err)
		}
		if p.open.Load() > 0 {
			t.Error("its handler began")
		}

		time.AfterFunc(20*time.Second, conn.unblock)
		began = time.Now()
		if err := call(t.Context()); err != nil || time.Since(began) != 30*time.Second {
			t.Errorf("without end it ended after %v: %v", time.Since(began), err)
		}

		conn.block()
		time.AfterFunc(time.Second, func() { client.Close() })
		began = time.Now()
		if err := call(t.Context()); !errors.Is(err, bus.Invalid) || time.Since(began) != time.Second {
			t.Errorf("by a client that was closed it ended after %v: %v", time.Since(began), err)
		}
	})
}

func TestADrainWaitsForTheBrokerToTakeWhatWasSaid(t *testing.T) {
	for name, patience := range map[string]time.Duration{"which it does": 20 * time.Second, "and no longer than it may": time.Second / 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transport.NewNet(1)
				conn := &stuckConn{SimConn: net.Dial()}
				long := unaryrpc.RPC[int, []byte]{Name: "long", Version: 1}
				srv, err := bus.ServeOn(conn, bus.Service{Name: "test"}, long.Handler(func(context.Context, int) ([]byte, error) {
					conn.block()
					return make([]byte, 10<<10), nil
				}))
				if err != nil {
					t.Fatal(err)
				}
				client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
				end := make(chan error, 1)
				go func() {
					_, err := long.Client(client)(t.Context(), 0)
					end <- err
				}()
				synctest.Wait()
				const takes = time.Second
				time.AfterFunc(takes, conn.unblock)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				began := time.Now()
				err = srv.Drain(ctx)
				took := time.Since(began)
				answered := <-end
				switch cut := patience < takes; {
				case cut && (took != patience || !errors.Is(err, context.DeadlineExceeded) || answered == nil):
					t.Errorf("it took %v: %v; the caller was told %v", took, err, answered)
				case !cut && (took < takes || err != nil || answered != nil):
					t.Errorf("it took %v: %v; the caller was told %v", took, err, answered)
				}
				time.Sleep(takes)
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
