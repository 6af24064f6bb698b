// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bus_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

// What an idle stream may hold of the heap, besides its goroutine. Time stands still
// meanwhile, or heartbeats would be counted too. The race detector is not for
// these tests: it makes pools forget.
const (
	idleAtResponder = 1300 // with what its handler waits by
	idleAtCaller    = 750
)

// makeGoroutines makes n goroutines, which those that are needed later are made of.
func makeGoroutines(n int) {
	end := make(chan struct{})
	var all sync.WaitGroup
	for range n {
		all.Go(func() { <-end })
	}
	close(end)
	all.Wait()
}

// costs has streams opened and wants each to cost at most limit bytes, however
// many there are.
func costs(t *testing.T, limit int, open func()) {
	t.Helper()
	each := func(n int) int {
		before := heap()
		for range n {
			open()
		}
		synctest.Wait()
		return (heap() - before) / n
	}
	makeGoroutines(12_000)
	each(500) // what all share
	few, many := each(1000), each(9000)
	t.Logf("each of 1,000 streams costs %d bytes, each of 9,000 more %d", few, many)
	if few > limit || many > limit {
		t.Errorf("want at most %d", limit)
	}
	if many > few*115/100 {
		t.Errorf("more streams cost more each")
	}
}

func TestAnIdleStreamCostsItsResponderLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rpc := piperpc.RPC[[]byte, []byte]{Name: "idle", Version: 1}
		waiting := make(chan struct{})
		s := newSink()
		s.ended = make(chan struct{}, 20_000)
		srv, err := bus.ServeOn(s, bus.Service{Name: "test"}, rpc.Handler(func(ctx context.Context, q []byte) (iter.Seq2[[]byte, error], error) {
			return func(func([]byte, error) bool) {
				waiting <- struct{}{}
				<-ctx.Done()
			}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		call := uint64(0)
		costs(t, idleAtResponder, func() {
			call++
			s.open(call, rpc.Describe())
			<-waiting
		})
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A well is a bus on which every request is answered by a stream that idles.
type well struct {
	transport.Conn
	state     []byte
	inbox     func(transport.Msg)
	cancelled int
}

func (w *well) Subscribe(subject, queue string, f func(transport.Msg)) (transport.Subscription, error) {
	w.inbox = f
	return w.Conn.Subscribe(subject, queue, f)
}

func (w *well) Publish(_, reply string, data []byte) error {
	for rest := data; ; {
		kind, body, next, err := wire.Next(rest)
		if err != nil || kind == 0 {
			return err
		}
		rest = next
		switch kind {
		case wire.KindOpen:
			var o wire.Open
			if err := o.Parse(body); err != nil {
				return err
			}
			w.inbox(transport.Msg{Subject: reply, Reply: "_D.c.well.1.1", Data: packet(1,
				wire.Accept{Call: o.Call, Protocol: 1, Instance: "well", Session: 1}.Append(nil),
				wire.First{Call: o.Call, Seq: 1, Data: w.state}.Append(nil))})
		case wire.KindCancel:
			w.cancelled++
		}
	}
}

// keptOpen has client's streams opened as costs does.
func keptOpen(t *testing.T, state []byte, open func(context.Context, *bus.Client) (any, error)) {
	synctest.Test(t, func(t *testing.T) {
		client := bus.NewClientOn(&well{Conn: transport.NewNet(1).Dial(), state: state}, bus.ClientOptions{})
		kept := make([]any, 0, 20_000)
		costs(t, idleAtCaller, func() {
			stream, err := open(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, stream)
		})
		runtime.KeepAlive(kept)
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAStreamThatNobodyReadsYetCostsItsCallerLittle(t *testing.T) {
	rpc := piperpc.RPC[[]byte, []byte]{Name: "idle", Version: 1}
	keptOpen(t, nil, func(_ context.Context, c *bus.Client) (any, error) {
		return rpc.Client(c)(context.Background(), nil)
	})
}

func TestAStreamLetsGoOfTheMessageWithItsState(t *testing.T) {
	rpc := staterpc.RPC[[]byte, int, []byte]{Name: "idle", Version: 1}
	state := append(bytes.Repeat([]byte{' '}, 8<<10), '1')
	keptOpen(t, state, func(ctx context.Context, c *bus.Client) (any, error) {
		_, updates, err := rpc.Client(c)(context.Background(), nil)
		return updates, err
	})
}

func TestAStreamWhoseStateIsNoneIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &well{Conn: transport.NewNet(1).Dial(), state: []byte("no JSON")}
		client := bus.NewClientOn(w, bus.ClientOptions{})
		rpc := staterpc.RPC[[]byte, int, []byte]{Name: "idle", Version: 1}
		_, _, err := rpc.Client(client)(t.Context(), nil)
		if !errors.Is(err, bus.Undecodable) {
			t.Errorf("got %v, want %v", err, bus.Undecodable)
		}
		synctest.Wait()
		if w.cancelled != 1 {
			t.Errorf("%d streams were cancelled, want one", w.cancelled)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}
