// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/staterpc"
)

// An estate serves sums as shared streams of whichever source it has now.
type estate struct {
	t      *testing.T
	net    *transport.Net
	source atomic.Pointer[staterpc.Publisher[int, int]]
	client *bus.Client
}

func newEstate(t *testing.T) *estate {
	e := &estate{t: t, net: transport.NewNet(1)}
	e.replace(0)
	e.client = bus.NewClientOn(e.net.Dial(), bus.ClientOptions{})
	return e
}

// replace has a source of another epoch, whose updates are multiples of a million
// where those of the one before are not.
func (e *estate) replace(state int) {
	e.source.Store(staterpc.NewPublisher(state, sum, 100_000).Keep(staterpc.Backlog[int]{Updates: 100}))
}

func (e *estate) serve() *bus.Server {
	srv, err := bus.ServeOn(e.net.Dial(), bus.Service{Name: "test"}, sums.Handler(
		func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			return e.source.Load().Watch(ctx)
		}).Shared())
	if err != nil {
		e.t.Fatal(err)
	}
	return srv
}

func (e *estate) publish(n, u int) {
	for range n {
		e.source.Load().Publish(u)
		synctest.Wait()
	}
}

const million = 1_000_000

// TestWhoReadsTwoEpochsHasEachForItself replaces the source behind a handler: who
// reads on has the old one's updates, who comes has the new one's, and nobody both.
func TestWhoReadsTwoEpochsHasEachForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		srv := e.serve()
		ctx, cancel := context.WithCancel(t.Context())
		old := e.source.Load()
		before := followers(ctx, e.client, 3)
		e.publish(5, 1)
		e.replace(million)
		time.Sleep(20 * time.Millisecond) // in which an encoded state of the old one may be given
		after := followers(ctx, e.client, 3)
		for range 5 {
			old.Publish(1)
			e.publish(1, million)
		}
		later := followers(ctx, e.client, 3)
		old.Publish(1)
		e.publish(1, million)
		cancel()
		for _, r := range before() {
			if r.sum != 11 || !errors.Is(r.err, context.Canceled) {
				t.Errorf("who was there has %d, of %v: %v", r.sum, r.read, r.err)
			}
		}
		for _, r := range append(after(), later()...) {
			if r.sum != 7*million || !errors.Is(r.err, context.Canceled) {
				t.Errorf("who came has %d, of %v: %v", r.sum, r.read, r.err)
			}
		}
		if err := errors.Join(e.client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoResumesIsNeverGivenAnotherEpoch replaces the source of durable readers:
// behind their handler, during an outage, and with a responder of the same name.
func TestWhoResumesIsNeverGivenAnotherEpoch(t *testing.T) {
	for name, change := range map[string]func(e *estate, srv *bus.Server, conn *transport.SimConn) *bus.Server{
		"in an outage": func(e *estate, srv *bus.Server, conn *transport.SimConn) *bus.Server {
			conn.Disconnect()
			e.replace(million)
			e.publish(5, million) // as far as the readers have come
			time.Sleep(20 * time.Second)
			conn.Reconnect()
			return srv
		},
		"with its responder": func(e *estate, srv *bus.Server, _ *transport.SimConn) *bus.Server {
			if err := srv.Close(); err != nil {
				e.t.Error(err)
			}
			e.replace(million)
			e.publish(5, million)
			return e.serve()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEstate(t)
				conn := e.net.Dial()
				client := bus.NewClientOn(conn, bus.ClientOptions{})
				srv := e.serve()
				var replicas []*durable.Replica[int]
				for _, p := range []durable.Policy{{}, {Resume: true}} {
					replicas = append(replicas, durable.NewReplica(t.Context(), sums.Client(client), "q", func(s, u int) int {
						if (s >= million) != (u == million) {
							t.Errorf("update %d was applied to %d, which is of another epoch", u, s)
						}
						return s + u
					}, p))
				}
				time.Sleep(time.Second)
				e.publish(5, 1)
				srv = change(e, srv, conn)
				time.Sleep(30 * time.Second)
				e.publish(5, million)
				epoch := replicas[0].View().Info.Epoch
				for i, r := range replicas {
					if v := r.View(); v.State != 11*million || v.Position != 10 || v.Info.Epoch != epoch || !v.Live {
						t.Errorf("replica %d has %+v", i, v)
					}
					r.Close()
				}
				if err := errors.Join(client.Close(), e.client.Close(), srv.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
