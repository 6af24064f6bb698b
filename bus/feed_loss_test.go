// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
)

// TestWhateverIsLostOnTheFeedIsRepaired loses, repeats and swaps messages on the
// feed: every reader gets every update once, in order.
func TestWhateverIsLostOnTheFeedIsRepaired(t *testing.T) {
	for _, tt := range []struct {
		what  string
		spoil func(n int, m transport.Msg, kept *transport.Msg) []transport.Msg
	}{
		{"every third is lost", func(n int, m transport.Msg, _ *transport.Msg) []transport.Msg {
			if n%3 == 2 {
				return nil
			}
			return []transport.Msg{m}
		}},
		{"all are repeated", func(_ int, m transport.Msg, _ *transport.Msg) []transport.Msg { return []transport.Msg{m, m} }},
		{"pairs are swapped", func(n int, m transport.Msg, kept *transport.Msg) []transport.Msg {
			if n%2 == 0 {
				*kept = m
				return nil
			}
			return []transport.Msg{m, *kept}
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				defer s.close()
				client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
				defer client.Close()
				ctx, cancel := context.WithCancel(t.Context())
				wait := followers(ctx, client, 5)
				n, kept := 0, transport.Msg{}
				s.spoil = func(m transport.Msg) []transport.Msg { n++; return tt.spoil(n-1, m, &kept) }
				want := []int{}
				for i := range 200 {
					s.pub.Publish(i)
					want = append(want, i)
					synctest.Wait()
				}
				time.Sleep(3 * time.Second)
				cancel()
				for i, r := range wait() {
					if !slices.Equal(r.read, want) || !errors.Is(r.err, context.Canceled) {
						t.Fatalf("reader %d: %d updates %v, %v", i, len(r.read), r.read, r.err)
					}
				}
			})
		})
	}
}

func TestALostTailIsRepairedByTheNextMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 2)
		lose := true
		s.spoil = func(m transport.Msg) []transport.Msg {
			if lose {
				lose = false
				return nil
			}
			return []transport.Msg{m}
		}
		s.pub.Publish(7)
		time.Sleep(1500 * time.Millisecond)
		cancel()
		for _, r := range wait() {
			if r.sum != 7 {
				t.Errorf("sum %d, %v", r.sum, r.err)
			}
		}
	})
}

func TestWhereAFeedDoesNotReachStreamsArePrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.spoil = func(transport.Msg) []transport.Msg { return nil }
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		wait := followers(ctx, client, 2)
		if d := time.Since(start); d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Errorf("the fall-back took %v", d) // before that nothing says that the feed will not come
		}
		s.pub.Publish(7)
		synctest.Wait()
		cancel()
		for _, r := range wait() {
			if r.sum != 7 {
				t.Errorf("sum %d, %v", r.sum, r.err)
			}
		}
	})
}

func TestAFeedGoesOnAfterAnOutageOfEitherSide(t *testing.T) {
	for _, side := range []string{"caller", "responder"} {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				defer s.close()
				conn := s.net.Dial()
				client := bus.NewClientOn(conn, bus.ClientOptions{})
				defer client.Close()
				ctx, cancel := context.WithCancel(t.Context())
				wait := followers(ctx, client, 3)
				s.pub.Publish(1)
				synctest.Wait()
				if side == "responder" {
					conn = s.conn
				}
				conn.Disconnect()
				s.pub.Publish(2)
				time.Sleep(500 * time.Millisecond)
				conn.Reconnect()
				synctest.Wait()
				s.pub.Publish(3)
				time.Sleep(time.Second)
				cancel()
				for i, r := range wait() {
					if !slices.Equal(r.read, []int{1, 2, 3}) || !errors.Is(r.err, context.Canceled) {
						t.Errorf("reader %d: %v, %v", i, r.read, r.err)
					}
				}
			})
		})
	}
}

// Nobody says that it is gone, and the feed is silent for as long as the responder
// is: its readers must not wait for it, as those of a feed alone that is lost do.
func TestAResponderThatIsGoneEndsItsFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		wait := followers(t.Context(), client, 3)
		s.pub.Publish(1)
		synctest.Wait()
		s.conn.Freeze(true)
		endInTime(t, wait, bus.Gone)
		s.close()
	})
}

func TestAFeedThatNoLongerReachesIsLostThoughItsResponderIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		var cut atomic.Bool
		s.spoil = func(m transport.Msg) []transport.Msg {
			if cut.Load() {
				return nil
			}
			return []transport.Msg{m}
		}
		wait := followers(t.Context(), client, 3)
		s.pub.Publish(1)
		synctest.Wait()
		cut.Store(true)
		endInTime(t, wait, bus.Lost)
	})
}

// endInTime demands that readers, who have one update, are told so within the bound.
func endInTime(t *testing.T, wait func() []*member, so bus.Code) {
	t.Helper()
	began := time.Now()
	for i, r := range wait() {
		if !errors.Is(r.err, so) || r.sum != 1 {
			t.Errorf("reader %d: %v, %v", i, r.read, r.err)
		}
	}
	if took := time.Since(began); took > flow.SilenceBound {
		t.Errorf("it took %v, %v at most is promised", took, flow.SilenceBound)
	}
}
