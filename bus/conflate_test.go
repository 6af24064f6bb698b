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

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

func sum(older, newer int) int { return older + newer }

// TestASlowReaderThatConflatesKeepsUpWithAFeed reads one update in all the time in
// which as many come as would cost it its stream.
func TestASlowReaderThatConflatesKeepsUpWithAFeed(t *testing.T) {
	for name, way := range map[string]func(staterpc.Func[string, int, int]) staterpc.Func[string, int, int]{
		"plain": func(f staterpc.Func[string, int, int]) staterpc.Func[string, int, int] {
			return staterpc.Conflate(f, sum)
		},
		"behind a conversion": func(f staterpc.Func[string, int, int]) staterpc.Func[string, int, int] {
			minus := func(n int) int { return -n }
			query := func(q string) string { return q }
			there := staterpc.Convert(query, minus, minus)
			return there(staterpc.Conflate(there(f), sum))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				defer s.close()
				client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
				defer client.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				state, updates, err := way(sums.Client(client))(ctx, "q")
				if err != nil {
					t.Fatal(err)
				}
				wait := followers(ctx, client, 2) // who read each
				go s.pub.Publish(1)
				read := 0
				for u, err := range updates {
					if err != nil {
						t.Error(err)
						break
					}
					read++
					if state += u; state == 5001 {
						break
					}
					for range 5000 { // a message each, beyond the client's ring
						s.pub.Publish(1)
						synctest.Wait()
					}
				}
				if state != 5001 || read != 2 {
					t.Errorf("the slow reader has %d, of %d updates", state, read)
				}
				cancel()
				for _, r := range wait() {
					if r.sum != 5001 || len(r.read) != 5001 {
						t.Errorf("another has %d, of %d updates", r.sum, len(r.read))
					}
				}
			})
		})
	}
}

func TestASlowDurableReaderThatConflatesIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		state := 0
		for ev := range durable.State(ctx, staterpc.Conflate(sums.Client(client), sum), "q", durable.Policy{Resume: true}) {
			switch ev.Kind {
			case durable.Snapshot:
				go s.pub.Publish(1)
			case durable.Update:
				state += ev.Update
				for range 5000 / state { // while it has read one
					s.pub.Publish(1)
					synctest.Wait()
				}
			case durable.Lost:
				t.Error(ev.Err)
				return
			}
			if state == 5001 {
				return
			}
		}
	})
}

// TestASlowReaderThatConflatesDoesNotStopItsProducer waits in its loop for what
// the producer cannot send before the reader has taken what came before.
func TestASlowReaderThatConflatesDoesNotStopItsProducer(t *testing.T) {
	for name, conflates := range map[string]bool{"conflated": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const all, size = 1000, 16 << 10 // twice what may be on its way
				var sent atomic.Int64
				rpc := piperpc.RPC[int, []byte]{Name: "sizes", Version: 1}
				open := rpc.Client(dial(t, rpc.Handler(func(context.Context, int) (iter.Seq2[[]byte, error], error) {
					return func(yield func([]byte, error) bool) {
						for n := range all {
							if sent.Store(int64(n + 1)); !yield(make([]byte, size), nil) {
								return
							}
						}
					}, nil
				})))
				if conflates {
					open = piperpc.Conflate(open, func(_, newer []byte) []byte { return newer })
				}
				updates, err := open(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				read := 0
				for _, err := range updates {
					if err != nil {
						t.Fatal(err)
					}
					if read++; read == 1 {
						time.Sleep(5 * time.Second)
						if n := sent.Load(); (n == all) != conflates {
							t.Errorf("%d of %d updates were sent while the reader read the first", n, all)
						}
					}
				}
				if read == all && conflates || read != all && !conflates {
					t.Errorf("%d updates were read of %d", read, all)
				}
			})
		})
	}
}

// TestMergedUpdatesAreNotReused has a codec that would decode each into the one
// that is being read, and a merge that keeps both.
func TestMergedUpdatesAreNotReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rpc := piperpc.RPC[[]byte, *wrapperspb.Int64Value]{Name: "kept", Version: 1}
		next := make(chan int64)
		client := dial(t, rpc.Handler(func(context.Context, []byte) (iter.Seq2[*wrapperspb.Int64Value, error], error) {
			return func(yield func(*wrapperspb.Int64Value, error) bool) {
				for n := range next {
					if !yield(wrapperspb.Int64(n), nil) {
						return
					}
				}
			}, nil
		}))
		rpc.Codec = bus.Reusing(nil)
		open := piperpc.Conflate(rpc.Client(client), func(older, newer *wrapperspb.Int64Value) *wrapperspb.Int64Value {
			return wrapperspb.Int64(older.Value*10 + newer.Value)
		})
		updates, err := open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() { next <- 1 }()
		var read []*wrapperspb.Int64Value
		for u, err := range updates {
			if err != nil {
				t.Fatal(err)
			}
			if read = append(read, u); len(read) == 1 {
				for n := range int64(3) {
					next <- n + 2
				}
				close(next)
				synctest.Wait()
			}
		}
		if len(read) != 2 || read[0].Value != 1 || read[1].Value != 234 {
			t.Errorf("read %v", read)
		}
	})
}

// TestWhatAHandlerConflatesIsPrivate and says nothing of a source: nobody could go
// on behind a position of which some had been merged.
func TestWhatAHandlerConflatesIsPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		pub := staterpc.NewPublisher(0, sum, 100).Keep(staterpc.Backlog[int]{Updates: 10})
		far := net.Dial()
		srv, err := bus.ServeOn(far, bus.Service{Name: "test"}, sums.Handler(staterpc.Conflate(
			func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) { return pub.Watch(ctx) }, sum)).Shared())
		if err != nil {
			t.Fatal(err)
		}
		conn := net.Dial()
		client := bus.NewClientOn(conn, bus.ClientOptions{})
		var info bus.Info
		ctx, cancel := context.WithCancel(bus.WithInfo(t.Context(), &info))
		defer cancel()
		state, updates, err := sums.Client(client)(ctx, "q")
		if err != nil || info.Epoch != "" || conn.Subscriptions() != 1 {
			t.Errorf("opened with epoch %q and %d subscriptions, error %v", info.Epoch, conn.Subscriptions(), err)
		}
		go func() {
			for range 100 {
				pub.Publish(1)
			}
		}()
		var last error
		for u, err := range updates {
			if last = err; err == nil {
				state += u
			}
			if state == 100 {
				cancel()
			}
		}
		if state != 100 || !errors.Is(last, context.Canceled) {
			t.Errorf("got %d and %v", state, last)
		}
		if err := errors.Join(client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
}
