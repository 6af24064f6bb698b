// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// What is published to a broker that is stopped fills the buffers of both sockets,
// and then writes block, under the lock of nats.go that all of its methods take.

var (
	blobRPC  = unaryrpc.RPC[[]byte, []byte]{Name: "test.blob", Version: 1}
	flockRPC = piperpc.RPC[[]byte, []byte]{Name: "test.flock", Version: 1}
)

// All blobs together are far too much for the buffers of two sockets.
const (
	blob  = 200 << 10 // goes in one message
	blobs = 256
)

func TestCallsEndInTimeThoughTheBrokerTakesNothing(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	proxy := broker.RunProxy(t, brk.URL())
	serve(t, brk.URL(), blobRPC.Handler(func(context.Context, []byte) ([]byte, error) { return nil, nil }),
		flockRPC.Handler(func(ctx context.Context, _ []byte) (iter.Seq2[[]byte, error], error) {
			return func(yield func([]byte, error) bool) {
				yield(nil, nil)
				<-ctx.Done()
			}, nil
		}))
	client := client(t, proxy.URL())
	call := func(ctx context.Context, size int) error {
		_, err := blobRPC.Client(client)(ctx, make([]byte, size))
		return err
	}
	if err := call(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	updates, err := flockRPC.Client(client)(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	open, lost := make(chan struct{}, 1), make(chan error, 1)
	var calls sync.WaitGroup
	calls.Go(func() {
		for _, err := range updates {
			if err == nil {
				open <- struct{}{}
			} else {
				lost <- err
			}
		}
	})
	await(t, open, 1, "open streams")

	proxy.Freeze(broker.ToServer | broker.ToClient)
	frozen := time.Now()
	const timeout = 500 * time.Millisecond
	for range 3 {
		for n := range blobs {
			size := blob
			if n%4 == 0 {
				size = 10
			}
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				began := time.Now()
				err := call(ctx, size)
				if took := time.Since(began); !errors.Is(err, bus.Expired) || took > leniency*timeout {
					t.Errorf("a call of %d bytes with %v to go took %v: %v", size, timeout, took, err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		<-ctx.Done()
		cancel()
		if took := time.Since(frozen); took > leniency*3*timeout {
			t.Errorf("after %v: too late to tell", took)
		}
		began := time.Now()
		client.Snapshot()
		if took := time.Since(began); took > leniency*100*time.Millisecond {
			t.Errorf("a snapshot took %v", took)
		}
	}
	if err := <-lost; !errors.Is(err, bus.Gone) || time.Since(frozen) > leniency*flow.SilenceBound {
		t.Errorf("a stream ended after %v with %v", time.Since(frozen), err)
	}
	calls.Wait()
	proxy.Thaw()
	err = call(t.Context(), blob)
	if e, ok := errors.AsType[*bus.Error](err); ok && e.Code == bus.Disconnected { // it was given up meanwhile
		<-e.Again
		err = call(t.Context(), blob)
	}
	if err != nil {
		t.Errorf("once the broker takes what there is: %v", err)
	}
}

func TestAResponderLeavesInTimeThoughItsBrokerTakesNothing(t *testing.T) {
	brk := runBroker(t, broker.Options{})
	proxy := broker.RunProxy(t, brk.URL())
	running := make(chan struct{}, blobs)
	frozen := make(chan struct{})
	srv := serve(t, proxy.URL(),
		flockRPC.Handler(func(context.Context, []byte) (iter.Seq2[[]byte, error], error) {
			return func(yield func([]byte, error) bool) {
				running <- struct{}{}
				<-frozen
				for yield(make([]byte, 100<<10), nil) {
				}
			}, nil
		}))
	client := client(t, brk.URL())
	var streams sync.WaitGroup
	for range blobs {
		streams.Go(func() {
			updates, err := flockRPC.Client(client)(t.Context(), nil)
			if err != nil {
				return // its beginning was on the way
			}
			for _, err = range updates {
			}
			if err == nil {
				t.Error("a stream without an end ended well")
			}
		})
	}
	await(t, running, blobs, "open streams")
	proxy.Freeze(broker.ToServer)
	close(frozen)
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for before := uint64(0); ; { // until nothing is published any more, though it might be
		<-look.C
		used, granted := uint64(0), uint64(0)
		for _, s := range srv.Snapshot().Streams {
			used += s.Credit.Used
			granted += s.Credit.Granted
		}
		if used == before && used < granted/2 {
			break
		}
		if before = used; used > granted/2 {
			t.Fatalf("the broker took %d of %d bytes", used, granted)
		}
	}
	const timeout = 500 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	began := time.Now()
	if err := srv.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained: %v", err)
	}
	if took := time.Since(began); took > leniency*timeout {
		t.Errorf("a drain with %v to go took %v", timeout, took)
	}
	proxy.Cut()
	streams.Wait()
}
