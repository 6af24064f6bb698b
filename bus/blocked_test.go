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
