// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
)

// A viaConn asks via before it publishes updates.
type viaConn struct {
	*transport.SimConn
	via func() error
}

func (c *viaConn) Publish(subject, reply string, data []byte) error {
	if kind, _, _, err := wire.Next(data); err == nil && kind == wire.KindData {
		if err := c.via(); err != nil {
			return err
		}
	}
	return c.SimConn.Publish(subject, reply, data)
}

func TestAHeartbeatCountsNoFrameThatIsBeingPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		slow := &viaConn{net.Dial(), func() error { time.Sleep(2500 * time.Millisecond); return nil }}
		// Updates of this size are published by the handler's goroutine, so that
		// heartbeats go on meanwhile.
		large := piperpc.RPC[int, []byte]{Name: "large", Version: 1}
		srv, err := bus.ServeOn(slow, bus.Service{}, large.Handler(
			func(context.Context, int) (iter.Seq2[[]byte, error], error) {
				return func(yield func([]byte, error) bool) {
					for range 2 {
						time.Sleep(100 * time.Millisecond) // until the outbox has nothing to do
						if !yield(make([]byte, 20<<10), nil) {
							return
						}
					}
				}, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		updates, err := large.Client(client)(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		n, start := 0, time.Now()
		for _, err := range updates {
			if err != nil {
				t.Error(err)
				continue
			}
			n++
		}
		if d := time.Since(start); n != 2 || d < 5*time.Second {
			t.Errorf("%d updates in %v", n, d)
		}
		if err := errors.Join(client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
}

// The connection may break after it was looked at, and before it is told.
func TestAnUpdateThatFoundNoConnectionIsSentWhenThereIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		p := newPairingOver(t, func(far *transport.SimConn) transport.Conn {
			return &viaConn{far, func() error {
				if gone.Load() {
					return transport.ErrNotConnected
				}
				return nil
			}}
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		end := p.read(t, ctx)
		p.feed <- 1
		synctest.Wait()
		gone.Store(true)
		p.feed <- 2
		synctest.Wait()
		p.far.Disconnect()
		gone.Store(false)
		p.feed <- 3
		time.Sleep(100 * time.Millisecond)
		p.far.Reconnect()
		time.Sleep(10 * time.Second)
		cancel()
		if o := <-end; !slices.Equal(o.got, []int{1, 2, 3}) || !errors.Is(o.err, bus.Canceled) {
			t.Errorf("got %v, then %v", o.got, o.err)
		}
	})
}
