// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/staterpc"
)

// A feedTalk is what was said of feeds beside what is said to all.
type feedTalk struct {
	mu    sync.Mutex
	joins []wire.Join
	again int // frames with updates in answer to them
}

// listen has what is said on the shop's network noted.
func (s *shop) listen() *feedTalk {
	k := new(feedTalk)
	s.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
		if strings.HasPrefix(m.Subject, "_D.f.") && s.spoil != nil {
			return s.spoil(m)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		for rest := m.Data; ; {
			kind, body, next, err := wire.Next(rest)
			if kind == 0 || err != nil {
				return []transport.Msg{m}
			}
			rest = next
			var j wire.Join
			var f wire.Feed
			switch {
			case kind == wire.KindJoin && j.Parse(body) == nil:
				k.joins = append(k.joins, j)
			case kind == wire.KindFeed && f.Parse(body) == nil && f.Call != 0 && len(f.Elements) > 0:
				k.again++
			}
		}
	})
	return k
}

// A reader who stays through an outage has what it missed as soon as both are
// back, whoever is back first: a Join that found nobody is sent again when its
// responder is heard.
func TestWhoIsBackBeforeItsResponderHasWhatItMissedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, conn := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 2)
		time.Sleep(1100 * time.Millisecond) // behind a mark
		k := s.listen()
		conn.Disconnect()
		s.conn.Disconnect()
		s.pub.Publish(7)
		time.Sleep(10 * time.Millisecond)
		conn.Reconnect()
		synctest.Wait()
		if n := len(k.joins); n != 1 {
			t.Fatalf("%d Joins were sent to nobody", n)
		}
		s.conn.Reconnect()
		synctest.Wait()
		cancel()
		for i, r := range wait() {
			if !slices.Equal(r.read, []int{7}) {
				t.Errorf("reader %d had %v when both were back", i, r.read)
			}
		}
		if n := len(k.joins); n != 2 {
			t.Errorf("%d Joins", n)
		}
	})
}

// Who hears a responder that does not hear it does not shout.
func TestJoinsThatFindNobodyThoughTheFeedIsHeardAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, conn := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 2)
		time.Sleep(1100 * time.Millisecond)
		joins := 0
		s.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if kind, _, _, _ := wire.Next(m.Data); from == conn && kind == wire.KindJoin {
				joins++
				m.Subject = "nobody"
			}
			return []transport.Msg{m}
		})
		conn.Disconnect()
		s.pub.Publish(1)
		conn.Reconnect()
		synctest.Wait()
		for range 500 {
			s.pub.Publish(1)
			time.Sleep(time.Millisecond)
		}
		if joins < 3 || joins > 9 {
			t.Errorf("%d Joins in half a second", joins)
		}
		s.net.Tap(nil)
		time.Sleep(time.Second)
		cancel()
		for i, r := range wait() {
			if r.sum != 501 {
				t.Errorf("reader %d: sum %d, %v", i, r.sum, r.err)
			}
		}
	})
}

// Durable callers open anew after an outage. The feed that they left goes on, in
// whatever order both sides are back, without any of what nobody waits for.
func TestDurableCallersAreBackAsSoonAsTheyHaveAsked(t *testing.T) {
	const spread = 10 * time.Millisecond // of who opens anew, by default
	for _, tt := range []struct {
		name      string
		near, far time.Duration // how long each side is away
		last      time.Duration // from when both are back
	}{
		{"the caller is back first", 5 * time.Millisecond, 9 * time.Millisecond, spread},
		{"the responder is back first", 9 * time.Millisecond, 5 * time.Millisecond, spread},
		{"both at once", 5 * time.Millisecond, 5 * time.Millisecond, spread},
		{"the responder longer than anybody asks for it", 5 * time.Millisecond, 60 * time.Millisecond, 2 * spread},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				defer s.close()
				client, conn := s.dial()
				ctx, cancel := context.WithCancel(t.Context())
				var readers sync.WaitGroup
				var mu sync.Mutex
				var current []time.Time
				const many = 20
				for range many {
					readers.Go(func() {
						sum, lost := 0, false
						for ev := range durable.State(ctx, sums.Client(client), "q", durable.Policy{}) {
							switch ev.Kind {
							case durable.Lost:
								lost = true
							case durable.Snapshot:
								sum = ev.State
							case durable.Update:
								sum += ev.Update
							}
							if lost && ev.Kind == durable.Snapshot {
								mu.Lock()
								current = append(current, time.Now())
								mu.Unlock()
							}
						}
						if sum != 1234 {
							t.Errorf("a reader has %d in the end", sum)
						}
					})
				}
				time.Sleep(1100 * time.Millisecond)
				opened := s.opened.Load()
				k := s.listen()
				absent(conn, tt.near)
				absent(s.conn, tt.far)
				back := time.Now().Add(max(tt.near, tt.far))
				s.pub.Publish(234)
				time.Sleep(time.Second)
				s.pub.Publish(1000)
				synctest.Wait()
				cancel()
				readers.Wait()
				if len(current) != many {
					t.Fatalf("%d readers of %d are back", len(current), many)
				}
				if d := slices.MaxFunc(current, time.Time.Compare).Sub(back); d > tt.last {
					t.Errorf("the last is back %v after both connections", d)
				}
				if n := s.opened.Load() - opened; n > 5 {
					t.Errorf("the handler ran %d times for states, and for no feed, want one in 10 ms", n)
				}
				if n := len(k.joins); n > 4 || k.again > 0 {
					t.Errorf("%d Joins, and %d frames in answer to them", n, k.again)
				}
			})
		})
	}
}

// What nobody read when the connection was lost begins where its next reader does,
// wherever it stood.
func TestAFeedThatNobodyReadBeginsWhereItsNextReaderDoes(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, while int // updates while the client is away, and behind its return
	}{
		{"nothing has happened", 0, 0},
		{"much was missed", 50, 0},
		{"it goes on", 50, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				defer s.close()
				client, conn := s.dial()
				ctx, leave := context.WithCancel(t.Context())
				wait := followers(ctx, client, 2)
				leave()
				wait()
				k := s.listen()
				publish := func(n int) {
					for range n {
						s.pub.Publish(1)
						synctest.Wait()
					}
				}
				conn.Disconnect()
				publish(tt.first)
				time.Sleep(20 * time.Millisecond)
				conn.Reconnect()
				synctest.Wait()
				publish(tt.while)
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				wait = followers(ctx, client, 2)
				if d := time.Since(start); d > 0 || k.again > 0 {
					t.Errorf("the next readers waited %v, for %d frames", d, k.again)
				}
				publish(3)
				cancel()
				for i, r := range wait() {
					if r.sum != tt.first+tt.while+3 || len(r.read) != 3 {
						t.Errorf("reader %d: sum %d of %v, %v", i, r.sum, r.read, r.err)
					}
				}
			})
		})
	}
}

// What comes on the feed before the client was told that the connection is back is
// no reason either to ask for what nobody waits for.
func TestAFrameThatIsFasterThanTheNewsOfTheReturnAsksForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		conn := s.net.Dial()
		defer conn.Notify(func(ev transport.Event) {
			if ev.Kind == transport.Reconnected {
				s.pub.Publish(1)
				synctest.Wait()
			}
		})()
		client := bus.NewClientOn(conn, bus.ClientOptions{})
		defer client.Close()
		ctx, leave := context.WithCancel(t.Context())
		wait := followers(ctx, client, 2)
		leave()
		wait()
		k := s.listen()
		conn.Disconnect()
		s.pub.Publish(1)
		synctest.Wait()
		conn.Reconnect()
		synctest.Wait()
		if len(k.joins) != 1 || k.again > 0 {
			t.Errorf("%d Joins, and %d frames in answer to them", len(k.joins), k.again)
		}
	})
}

// A state serves those who ask for it for a while, and so may be older than what
// has come on the feed since the connection is back.
func TestAStateOfBeforeTheReturnIsGoneOnBehindByTheSameFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, conn := s.dial()
		other, _ := s.dial()
		ctx, leave := context.WithCancel(t.Context())
		wait := followers(ctx, client, 1)
		leave()
		wait()
		time.Sleep(time.Second)
		conn.Disconnect()
		ctx, cancel := context.WithCancel(t.Context())
		waitOther := followers(ctx, other, 1)
		opened := s.opened.Load()
		for range 5 {
			s.pub.Publish(1)
			synctest.Wait()
		}
		conn.Reconnect()
		synctest.Wait()
		wait = followers(ctx, client, 2)
		synctest.Wait()
		if n := s.opened.Load() - opened; n != 0 {
			t.Errorf("the handler ran %d times for those who had a state of 0 ms ago", n)
		}
		cancel()
		for i, r := range append(wait(), waitOther()...) {
			if !slices.Equal(r.read, []int{1, 1, 1, 1, 1}) {
				t.Errorf("reader %d: %v, %v", i, r.read, r.err)
			}
		}
	})
}

// All who wait for the frames of one feed wait for the same Joins.
func TestAFeedThatIsNotHeardIsJoinedEverLessOftenHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		s.spoil = func(transport.Msg) []transport.Msg { return nil }
		k := s.listen()
		client, _ := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var ready sync.WaitGroup
		ready.Add(100)
		start := time.Now()
		for range 100 {
			go readAlong(ctx, client, &ready)
		}
		for _, at := range []int{0, 10, 30, 70, 150, 250, 350} {
			time.Sleep(time.Until(start.Add(time.Duration(at) * time.Millisecond)))
			synctest.Wait()
			want := slices.Index([]int{0, 10, 30, 70, 150, 250, 350}, at) + 1
			k.mu.Lock()
			if n := len(k.joins); n != want {
				t.Errorf("%d Joins after %d ms, want %d", n, at, want)
			}
			k.mu.Unlock()
		}
		ready.Wait() // with streams of their own
	})
}

// A stream that went on by a feed is told once of each outage, as before.
func TestAnOutageOfAStreamThatWasTakenUpIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.pub.Keep(staterpc.Backlog[int]{Updates: 100_000})
		client, conn := s.dial()
		ctx, cancel := context.WithCancel(t.Context())
		_, updates, err := sums.Client(client)(bus.WithResume(ctx, bus.Resume{}), "q")
		if err != nil {
			t.Fatal(err)
		}
		var told []*bus.Break
		read, behind := 0, make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			for _, err := range updates {
				if b, ok := errors.AsType[*bus.Break](err); ok {
					told = append(told, b)
				} else if read++; read == 1 {
					<-behind
				}
			}
		})
		time.Sleep(1100 * time.Millisecond) // behind a mark
		const many = 5000                   // more than a feed keeps for a reader
		for range many {
			s.pub.Publish(1)
			synctest.Wait()
		}
		close(behind)
		time.Sleep(time.Second)
		synctest.Wait()
		before := len(told) // 2, or more if it fell behind again while it caught up
		if read != many || before == 0 || before%2 != 0 {
			t.Errorf("read %d, told %v", read, told)
		}
		for i, b := range told {
			if lost := i%2 == 0; lost && !errors.Is(b.Err, bus.Lost) || !lost && b.Info == nil {
				t.Errorf("told %v", told)
			}
		}
		conn.Disconnect()
		s.close()                    // so that it is not heard any more, and its feed is over
		time.Sleep(30 * time.Second) // without a connection nobody can be asked
		synctest.Wait()
		if len(told) != before+1 || !errors.Is(told[before].Err, bus.Disconnected) {
			t.Errorf("told %v", told[before:])
		}
		cancel()
		reader.Wait()
	})
}
