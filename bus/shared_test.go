// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/unaryrpc"
)

// callers is how many call at the same time: enough that some share a message.
const callers = 200

// requested returns the calls whose requests are in m.
func requested(m transport.Msg) (calls []uint64) {
	for rest := m.Data; ; {
		kind, body, next, err := wire.Next(rest)
		if kind == 0 && err == nil {
			return calls
		}
		rest = next
		var o wire.Open
		if kind == wire.KindOpen && o.Parse(body) == nil {
			calls = append(calls, o.Call)
		}
	}
}

// crowd makes calls of rpc at the same time over conn and returns their errors.
// One goroutine runs at a time, so that callers gather before the outbox has its
// turn: beside it on another processor they may take turns with it, and each call
// leaves alone.
func crowd(t *testing.T, conn *transport.SimConn, rpc unaryrpc.RPC[int, int]) []*bus.Error {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	client := bus.NewClientOn(conn, bus.ClientOptions{})
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	call := rpc.Client(client)
	failed := make([]*bus.Error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			n, err := call(t.Context(), i)
			if err == nil && n != i+1 {
				t.Errorf("call %d was answered %d", i, n)
			}
			failed[i], _ = errors.AsType[*bus.Error](err)
		})
	}
	wg.Wait()
	return failed
}

func serveAdd(t *testing.T, net *transport.Net, f func(context.Context, int) (int, error)) *bus.Server {
	t.Helper()
	srv, err := bus.ServeOn(net.Dial(), bus.Service{Name: "test"}, addRPC.Handler(f))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

// plusOne takes some time, so that all callers of a crowd have called by then.
func plusOne(_ context.Context, n int) (int, error) {
	time.Sleep(time.Millisecond)
	return n + 1, nil
}

func TestCallsMadeAtTheSameTimeShareMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		serveAdd(t, net, plusOne)
		var sizes []int
		seen := map[uint64]bool{}
		answers := 0
		net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if calls := requested(m); m.Subject == "bad.add.v1" {
				sizes = append(sizes, len(calls))
				last := uint64(0)
				for _, c := range calls {
					if c <= last || seen[c] {
						t.Errorf("calls %v", calls)
					}
					last, seen[c] = c, true
				}
				if n, _ := wire.Number(m.Data); n != last {
					t.Errorf("number %d of calls %v", n, calls)
				}
			} else if m.Reply == "" {
				answers++
			}
			return []transport.Msg{m}
		})
		for i, err := range crowd(t, net.Dial(), addRPC) {
			if err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		if len(seen) != callers || len(sizes) > callers/2 || slices.Max(sizes) > 16 {
			t.Errorf("%d calls in messages of %v", len(seen), sizes)
		}
		if answers > callers/2 {
			t.Errorf("answered by %d messages", answers)
		}
	})
}

func TestALostSharedMessageEndsItsCallsAndNoOthers(t *testing.T) {
	for name, c := range map[string]struct {
		again bool // they may run twice
		took  time.Duration
	}{
		"that may run once":  {false, 2250 * time.Millisecond},
		"that may run again": {true, 750 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transport.NewNet(1)
				serveAdd(t, net, plusOne)
				lost := 0
				net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
					if n := len(requested(m)); lost == 0 && n > 1 {
						lost = n
						return nil
					}
					return []transport.Msg{m}
				})
				rpc := addRPC
				rpc.Idempotent = c.again
				start := time.Now()
				failed := 0
				for _, err := range crowd(t, net.Dial(), rpc) {
					if err == nil {
						continue
					}
					failed++
					if err.Code != bus.NoAnswer || !err.MayHaveRun {
						t.Error(err)
					}
				}
				if took := time.Since(start); took > c.took {
					t.Errorf("it took %v", took)
				}
				if want := lost; lost == 0 || !c.again && failed != want || c.again && failed != 0 {
					t.Errorf("%d calls were lost, %d failed", lost, failed)
				}
			})
		})
	}
}

func TestASharedMessageThatNobodyReceivesIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		go func() {
			time.Sleep(time.Millisecond)
			serveAdd(t, net, plusOne)
		}()
		for i, err := range crowd(t, net.Dial(), addRPC) {
			if err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
	})
}

// refusing answers the first message that is shared with what refuse makes of
// its calls, and leaves all others alone.
func refusing(net *transport.Net, t *testing.T, refuse func(calls []uint64) []byte) (refused *atomic.Int64) {
	conn := net.Dial()
	refused = new(atomic.Int64)
	answer := make(chan transport.Msg, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range answer {
			if err := conn.Publish(m.Reply, "", refuse(requested(m))); err != nil {
				t.Error(err)
			}
		}
	}()
	net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
		n := int64(len(requested(m)))
		if n < 2 || !refused.CompareAndSwap(0, n) {
			return []transport.Msg{m}
		}
		m.Data = slices.Clone(m.Data)
		answer <- m
		close(answer)
		return []transport.Msg{{Subject: "refusing"}} // somebody took it
	})
	taken, err := conn.Subscribe("refusing", "", func(transport.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if refused.Load() == 0 {
			close(answer)
		}
		<-done
		if err := taken.Unsubscribe(); err != nil {
			t.Error(err)
		}
	})
	return refused
}

func TestCallsOfASharedMessageThatALeavingResponderRefusesGoElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		serveAdd(t, net, plusOne)
		refused := refusing(net, t, func(calls []uint64) (packet []byte) {
			for _, c := range calls {
				packet = wire.End{Call: c, Error: &wire.Error{Code: string(bus.Draining)}}.Append(packet)
			}
			return packet
		})
		for i, err := range crowd(t, net.Dial(), addRPC) {
			if err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		if refused.Load() == 0 {
			t.Error("no message was shared")
		}
	})
}

func TestARefusalOfAWholeMessageEndsItsCallsAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		serveAdd(t, net, plusOne)
		refused := refusing(net, t, func([]uint64) []byte {
			return wire.End{Error: &wire.Error{Code: string(bus.Undecodable)}}.Append(nil)
		})
		failed := int64(0)
		for _, err := range crowd(t, net.Dial(), addRPC) {
			if err == nil {
				continue
			}
			failed++
			if err.Code != bus.Undecodable || err.MayHaveRun {
				t.Error(err)
			}
		}
		if failed == 0 || failed != refused.Load() {
			t.Errorf("%d calls failed, %d were refused", failed, refused.Load())
		}
	})
}

func TestASlowCallDelaysNoOtherOfItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		release := make(chan struct{})
		serveAdd(t, net, func(_ context.Context, n int) (int, error) {
			if n%7 == 0 {
				<-release
			}
			return n + 1, nil
		})
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		var quick, slow sync.WaitGroup
		for i := range callers {
			wg := &quick
			if i%7 == 0 {
				wg = &slow
			}
			wg.Go(func() {
				if n, err := addRPC.Client(client)(t.Context(), i); n != i+1 || err != nil {
					t.Errorf("call %d: %d, %v", i, n, err)
				}
			})
		}
		start := time.Now()
		quick.Wait()
		if took := time.Since(start); took > 0 {
			t.Errorf("the quick ones took %v", took)
		}
		time.Sleep(time.Minute)
		close(release)
		slow.Wait()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhereTheConnectionIsDownTheCallsOfAMessageFailAsSuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		conn := net.Dial()
		shared := 0
		net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if len(requested(m)) > 1 {
				shared++
			}
			return []transport.Msg{{Subject: "nowhere"}}
		})
		go func() {
			time.Sleep(time.Second)
			conn.Disconnect()
		}()
		for _, err := range crowd(t, conn, addRPC) {
			if err == nil || err.Code != bus.Disconnected || !err.MayHaveRun {
				t.Fatal(err)
			}
		}
		if shared == 0 {
			t.Error("no message was shared")
		}
	})
}

// TestAStreamThatCannotBeSharedHasOneHandlerAtWork has one that says where its state
// stands by no source, so that it is carried out for the state, for a feed and then
// for the caller alone.
func TestAStreamThatCannotBeSharedHasOneHandlerAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, live atomic.Int64
		client := dial(t, sums.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			runs.Add(1)
			live.Add(1)
			context.AfterFunc(ctx, func() { live.Add(-1) })
			return 0, func(func(int, error) bool) { <-ctx.Done() }, nil
		}).Shared())
		ctx, cancel := context.WithCancel(t.Context())
		_, updates, err := sums.Client(client)(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if runs.Load() < 2 || live.Load() != 1 {
			t.Errorf("of %d runs of the handler %d are alive, want one", runs.Load(), live.Load())
		}
		cancel()
		for range updates {
		}
	})
}
