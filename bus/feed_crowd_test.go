// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/staterpc"
)

// dial returns a client of the shop on a connection of its own.
func (s *shop) dial() (*bus.Client, *transport.SimConn) {
	conn := s.net.Dial()
	client := bus.NewClientOn(conn, bus.ClientOptions{})
	s.t.Cleanup(func() {
		if err := client.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return client, conn
}

func TestAThousandWhoJoinOverASecondCostAnEncodingIn10Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, _ := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for range 1000 {
			var ready sync.WaitGroup
			ready.Add(1)
			done.Go(func() { readAlong(ctx, client, &ready) })
			time.Sleep(time.Millisecond)
		}
		if n := s.encoded.Load(); n > 102 || n < 50 {
			t.Errorf("%d encodings of the state in a second", n)
		}
		cancel()
		done.Wait()
	})
}

func TestReadersInTwoProcessesShareAFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		ctx, cancel := context.WithCancel(t.Context())
		a, _ := s.dial()
		b, _ := s.dial()
		waits := []func() []*member{followers(ctx, a, 3), followers(ctx, b, 3)}
		time.Sleep(100 * time.Millisecond)
		encoded, sent := s.encoded.Load(), s.onFeed.Load()
		for i := range 10 {
			s.pub.Publish(i)
			synctest.Wait()
		}
		if e, m := s.encoded.Load()-encoded, s.onFeed.Load()-sent; e != 10 || m != 10 {
			t.Errorf("10 updates for two clients: %d encodings, %d messages", e, m)
		}
		cancel()
		for _, wait := range waits {
			for i, r := range wait() {
				if !slices.Equal(r.read, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
					t.Errorf("reader %d: %v", i, r.read)
				}
			}
		}
	})
}

// watchSums serves pub as version v of sums.
func watchSums(pub *staterpc.Publisher[int, int], v int) bus.Handler {
	rpc := sums
	rpc.Version = v
	return rpc.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) { return pub.Watch(ctx) })
}

func TestEachVersionInUseCostsAPublish(t *testing.T) {
	for _, tt := range []struct {
		what     string
		versions []int
	}{{"one of two", []int{3, 3, 3}}, {"both", []int{2, 3, 2, 3}}} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				defer s.close()
				pub := staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 100)
				_, stop := (&resuming{net: s.net}).also(t, bus.Shared(watchSums(pub, 2), watchSums(pub, 3))...)
				defer stop()
				client, _ := s.dial()
				ctx, cancel := context.WithCancel(t.Context())
				var done, ready sync.WaitGroup
				used := map[int]bool{}
				for _, v := range tt.versions {
					used[v] = true
					rpc := sums
					rpc.Version = v
					ready.Add(1)
					done.Go(func() {
						_, updates, err := rpc.Client(client)(ctx, "q")
						ready.Done()
						if err != nil {
							t.Error(err)
							return
						}
						for range updates {
							continue
						}
					})
				}
				ready.Wait()
				time.Sleep(100 * time.Millisecond)
				sent := s.onFeed.Load()
				for i := range 10 {
					pub.Publish(i)
					synctest.Wait()
				}
				if n := s.onFeed.Load() - sent; n != int64(10*len(used)) {
					t.Errorf("%d messages for 10 updates", n)
				}
				cancel()
				done.Wait()
			})
		})
	}
}

func TestWithoutSharedEachReaderHasAStreamOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		pub := staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 100)
		_, stop := (&resuming{net: s.net}).also(t, watchSums(pub, 2))
		defer stop()
		client, _ := s.dial()
		rpc := sums
		rpc.Version = 2
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 3 {
			if _, _, err := rpc.Client(client)(ctx, "q"); err != nil {
				t.Fatal(err)
			}
		}
		if n, m := pub.Watchers(), s.onFeed.Load(); n != 3 || m != 0 {
			t.Errorf("three readers: %d watch, %d messages on feeds", n, m)
		}
	})
}

// A client that was away asks for what it missed at once, and does not wait for
// the next mark.
func TestAClientThatIsBackJoinsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, conn := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 2)
		time.Sleep(1100 * time.Millisecond) // behind a mark
		conn.Disconnect()
		s.pub.Publish(7)
		time.Sleep(200 * time.Millisecond)
		conn.Reconnect()
		time.Sleep(20 * time.Millisecond)
		cancel()
		for i, r := range wait() {
			if !slices.Equal(r.read, []int{7}) {
				t.Errorf("reader %d had %v when it was back", i, r.read)
			}
		}
	})
}

func TestAFeedOnWhichNothingHappensSaysSoEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, _ := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 100)
		time.Sleep(time.Second)
		sent := s.onFeed.Load()
		time.Sleep(20 * time.Second)
		if n := s.onFeed.Load() - sent; n < 10 || n > 20 {
			t.Errorf("%d marks in 20 seconds", n)
		}
		cancel()
		wait()
	})
}

func TestAStateInPiecesIsSharedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		long := strings.Repeat("long ", 1<<18)
		pub := staterpc.NewPublisher(long, func(string, string) string { return long }, 100)
		rpc := staterpc.RPC[string, string, string]{Name: "long", Version: 1}
		_, stop := (&resuming{net: s.net}).also(t, rpc.Handler(
			func(ctx context.Context, _ string) (string, iter.Seq2[string, error], error) { return pub.Watch(ctx) }).Shared())
		defer stop()
		client, _ := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var readers []iter.Seq2[string, error]
		for range 3 {
			state, updates, err := rpc.Client(client)(ctx, "q")
			if err != nil || state != long {
				t.Fatalf("a state of %d bytes, %v", len(state), err)
			}
			readers = append(readers, updates)
		}
		if n := pub.Watchers(); n != 1 {
			t.Errorf("%d watch for three readers", n)
		}
		pub.Publish("short")
		for _, updates := range readers {
			got := ""
			for u, err := range updates {
				if got = u; err != nil {
					t.Error(err)
				}
				break
			}
			if got != "short" {
				t.Errorf("got %q", got)
			}
		}
	})
}

// Whatever comes on a feed's subject besides its frames changes nothing.
func TestFramesThatMakeNoSenseDoNotDisturbAFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, _ := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		var subject string
		s.spoil = func(m transport.Msg) []transport.Msg { subject = m.Subject; return []transport.Msg{m} }
		wait := followers(ctx, client, 2)
		s.pub.Publish(1)
		synctest.Wait()
		s.spoil = nil
		eve := s.net.Dial()
		for _, packet := range [][]byte{
			{},
			{0xff, 0xff, 0xff},
			{0, 0, 0, 1, 2},
			wire.Feed{Before: 9, Last: 3}.Append(nil),
			wire.Feed{Before: 1, Last: 2, Steps: []uint32{1, 1, 1}}.Append(nil),
			wire.Feed{Before: 1, Last: 2, Faults: []uint32{7}}.Append(nil),
			wire.Feed{Before: 1, Last: 2, Elements: []byte{0x80}}.Append(nil),
			wire.End{Call: 1}.Append(nil),
		} {
			if err := eve.Publish(subject, "", packet); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		s.pub.Publish(2)
		synctest.Wait()
		cancel()
		for i, r := range wait() {
			if !slices.Equal(r.read, []int{1, 2}) {
				t.Errorf("reader %d: %v, %v", i, r.read, r.err)
			}
		}
	})
}

// A state that is older than its feed is fetched anew, once for all who have it.
func TestCallersOfAFeedThatHasJustBegunShareTheirStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{}, 1)
		var s *shop
		s = newShop(t, func(next bus.CallFunc) bus.CallFunc {
			return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
				r, err := next(ctx, c)
				select {
				case first <- struct{}{}: // the state is encoded, and the feed has not begun
					time.Sleep(time.Millisecond)
					s.pub.Publish(1)
				default:
					time.Sleep(2 * time.Millisecond)
				}
				return r, err
			}
		})
		defer s.close()
		client, _ := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 200)
		if n := s.encoded.Load(); n > 3 {
			t.Errorf("%d encodings of two states and an update for 200 who asked at once", n)
		}
		cancel()
		for i, r := range wait() {
			if r.sum != 1 {
				t.Errorf("reader %d: %d, %v", i, r.sum, r.err)
			}
		}
	})
}
