// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

var sums = staterpc.RPC[string, int, int]{Name: "sums", Version: 1}

// A shop serves sums as a shared stream on a simulated network.
type shop struct {
	t       *testing.T
	net     *transport.Net
	pub     *staterpc.Publisher[int, int]
	srv     *bus.Server
	conn    *transport.SimConn // of the server
	onFeed  atomic.Int64       // messages on feeds
	encoded atomic.Int64       // states and updates
	opened  atomic.Int64       // runs of the handler
	spoil   func(transport.Msg) []transport.Msg
}

// A countingCodec counts what is encoded.
type countingCodec struct {
	bus.Codec
	n *atomic.Int64
}

func (c countingCodec) Append(dst []byte, v any) ([]byte, error) {
	c.n.Add(1)
	return c.Codec.Append(dst, v)
}

func newShop(t *testing.T, mw ...bus.Middleware) *shop {
	return newShopAs(t, func(*transport.Net) bus.Service { return bus.Service{Name: "test", Middleware: mw} })
}

func newShopAs(t *testing.T, as func(*transport.Net) bus.Service) *shop {
	s := &shop{t: t, net: transport.NewNet(1), pub: staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 100_000)}
	rpc := sums
	rpc.Codec = countingCodec{bus.JSON, &s.encoded}
	s.conn = s.net.Dial()
	s.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
		if strings.HasPrefix(m.Subject, "_D.f.") {
			s.onFeed.Add(1)
			if s.spoil != nil {
				return s.spoil(m)
			}
		}
		return []transport.Msg{m}
	})
	var err error
	s.srv, err = bus.ServeOn(s.conn, as(s.net), rpc.Handler(
		func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			s.opened.Add(1)
			return s.pub.Watch(ctx)
		}).Shared())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) close() {
	if err := s.srv.Close(); err != nil {
		s.t.Error(err)
	}
}

// A member is one reader's sum, and what it read.
type member struct {
	sum  int
	err  error
	read []int
}

// readAlong keeps a member until ctx is done or the stream ends.
func readAlong(ctx context.Context, c bus.Caller, ready *sync.WaitGroup) *member {
	r := new(member)
	var updates iter.Seq2[int, error]
	r.sum, updates, r.err = sums.Client(c)(ctx, "q")
	ready.Done()
	if r.err != nil {
		return r
	}
	for u, err := range updates {
		if err != nil {
			r.err = err
			return r
		}
		r.sum += u
		r.read = append(r.read, u)
	}
	return r
}

// followers starts n of them, and returns what they have when ctx is done.
func followers(ctx context.Context, c bus.Caller, n int) (wait func() []*member) {
	all := make([]*member, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range all {
		done.Go(func() { all[i] = readAlong(ctx, c, &ready) })
	}
	ready.Wait()
	return func() []*member { done.Wait(); return all }
}

func TestAnUpdateIsEncodedAndPublishedOnceForAThousandReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 1000)
		if n := s.encoded.Load(); n > 2 {
			t.Errorf("%d encodings of one state for 1,000 who asked at once", n)
		}
		time.Sleep(time.Second)
		before, sent := s.encoded.Load(), s.onFeed.Load()
		for i := range 100 {
			s.pub.Publish(i + 1)
			synctest.Wait()
		}
		if n := s.encoded.Load() - before; n != 100 {
			t.Errorf("%d encodings of 100 updates", n)
		}
		if n := s.onFeed.Load() - sent; n != 100 {
			t.Errorf("%d messages for 100 updates", n)
		}
		if n := s.conn.Subscriptions(); n > 20 {
			t.Errorf("the server has %d subscriptions", n)
		}
		cancel()
		for i, r := range wait() {
			if r.sum != 5050 || len(r.read) != 100 || !errors.Is(r.err, context.Canceled) {
				t.Fatalf("reader %d: sum %d of %d updates, %v", i, r.sum, len(r.read), r.err)
			}
		}
	})
}

func TestNothingIsLeftOfAFeedThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		conn := s.net.Dial()
		client := bus.NewClientOn(conn, bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 3)
		if n := conn.Subscriptions(); n != 2 {
			t.Errorf("three readers have %d subscriptions, want the inbox and the feed", n)
		}
		cancel()
		wait()
		time.Sleep(6 * time.Second)
		if n := conn.Subscriptions(); n != 1 {
			t.Errorf("%d subscriptions are left, want the inbox", n)
		}
		time.Sleep(12 * time.Second)
		opened := s.opened.Load()
		ctx, cancel = context.WithCancel(t.Context())
		wait = followers(ctx, client, 1)
		if s.opened.Load() != opened+2 {
			t.Errorf("%d runs of the handler, want one for the state and one for the feed", s.opened.Load()-opened)
		}
		cancel()
		wait()
	})
}

func TestASlowReaderIsCutAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		_, slow, err := sums.Client(client)(ctx, "q")
		if err != nil {
			t.Fatal(err)
		}
		wait := followers(ctx, client, 3)
		for range 5000 { // a message each, beyond the client's ring
			s.pub.Publish(1)
			synctest.Wait()
		}
		for _, err := range slow {
			if !errors.Is(err, bus.Lost) || !strings.Contains(err.Error(), "fell behind") {
				t.Errorf("the slow reader got %v", err)
			}
			break
		}
		cancel()
		for i, r := range wait() {
			if r.sum != 5000 {
				t.Errorf("reader %d: %d, %v", i, r.sum, r.err)
			}
		}
	})
}

func TestADrainEndsAFeedAfterItsLastUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		wait := followers(t.Context(), client, 3)
		for range 10 {
			s.pub.Publish(1)
		}
		synctest.Wait()
		if err := s.srv.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		for i, r := range wait() {
			if !errors.Is(r.err, bus.Draining) || r.sum != 10 {
				t.Errorf("reader %d: sum %d, %v", i, r.sum, r.err)
			}
		}
	})
}

func TestMiddlewareSeesEachCallerOfAFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		s := newShop(t, func(next bus.CallFunc) bus.CallFunc {
			return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
				if c.Name == sums.Name {
					asked.Add(1)
				}
				if c.Metadata["user"] == "eve" {
					return bus.Reply{}, bus.Unauthorized
				}
				return next(ctx, c)
			}
		})
		defer s.close()
		conn := s.net.Dial()
		client := bus.NewClientOn(conn, bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 10)
		if n := asked.Load(); n != 11 {
			t.Errorf("middleware saw %d calls of 10 callers and a feed", n)
		}
		if _, _, err := sums.Client(client)(bus.WithMetadata(ctx, bus.Metadata{"user": "eve"}), "q"); !errors.Is(err, bus.Unauthorized) {
			t.Errorf("whom middleware refuses got %v", err)
		}
		cancel()
		wait()
	})
}

func TestAStateWithoutASourceStaysPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := dial(t, sums.Handler(func(context.Context, string) (int, iter.Seq2[int, error], error) {
			return 1, func(yield func(int, error) bool) { _ = yield(2, nil) && yield(3, nil) }, nil
		}).Shared())
		for range 2 {
			state, updates, err := sums.Client(client)(t.Context(), "q")
			if err != nil {
				t.Fatal(err)
			}
			for u, err := range updates {
				if err != nil {
					t.Fatal(err)
				}
				state += u
			}
			if state != 6 {
				t.Errorf("got %d", state)
			}
		}
	})
}

// TestAnUpdateIsConvertedOnceForAll sends updates through a conversion that drops
// every third, fails for every fifth and makes two of the others.
func TestAnUpdateIsConvertedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := staterpc.NewPublisher(0, func(s, u int) int { return s + u }, 100)
		var converted atomic.Int64
		client := dial(t, sums.Handler(func(ctx context.Context, _ string) (int, iter.Seq2[int, error], error) {
			s, updates, err := pub.Watch(ctx)
			return s, piperpc.Split(updates, func(u int, yield func(int) bool) error {
				converted.Add(1)
				switch {
				case u%3 == 0:
					return nil
				case u%5 == 0:
					return errors.New("no fives")
				}
				_ = yield(u) && yield(-u)
				return nil
			}), err
		}).Shared())
		ctx, cancel := context.WithCancel(t.Context())
		var got [4][]string
		var ready, done sync.WaitGroup
		ready.Add(len(got))
		for i := range got {
			done.Go(func() {
				_, updates, err := sums.Client(client)(ctx, "q")
				ready.Done()
				if err != nil {
					t.Error(err)
					return
				}
				for u, err := range updates {
					switch {
					case err == nil:
						got[i] = append(got[i], fmt.Sprint(u))
					case bus.IsElement(err):
						got[i] = append(got[i], "fault")
					}
				}
			})
		}
		ready.Wait()
		for i := range 10 {
			pub.Publish(i + 1)
			if i%2 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		cancel()
		done.Wait()
		want := "1 -1 2 -2 4 -4 fault 7 -7 8 -8 fault"
		for i := range got {
			if s := strings.Join(got[i], " "); s != want {
				t.Errorf("reader %d: %s", i, s)
			}
		}
		if n := converted.Load(); n != 10 {
			t.Errorf("%d conversions of 10 updates", n)
		}
	})
}
