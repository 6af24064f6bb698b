// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/staterpc"
)

// tallies are shared, one feed for each query.
var tallies = staterpc.RPC[int, int, int]{Name: "bad.tally", Version: 1}

// A siege is a raid on feeds, of which a well-behaved caller reads one.
type siege struct {
	*raid
	pub  *staterpc.Publisher[int, int]
	good *member // the well-behaved caller's, once it has left
}

// besiege runs a siege and wants nothing of it to reach the well-behaved caller.
func besiege(t *testing.T, run func(*siege)) {
	synctest.Test(t, func(t *testing.T) {
		s := &siege{pub: staterpc.NewPublisher(0, sum, 100_000)}
		var good *bystander
		s.raid, good = newRaid(t, tallies.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[int, error], error) {
			s.runs.Add(1)
			return s.pub.Watch(ctx)
		}).Shared())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.good = tally(ctx, s.client)
		}()
		synctest.Wait()
		s.publish(10)
		run(s)
		s.publish(10)
		good.undisturbed(t)
		cancel()
		if <-done; s.good.sum != 20 || len(s.good.read) != 20 {
			t.Errorf("the well-behaved reader has %d, of %d updates: %v", s.good.sum, len(s.good.read), s.good.err)
		}
	})
}

// tally reads the feed of query 1 until ctx is done.
func tally(ctx context.Context, c bus.Caller) *member {
	m := new(member)
	var updates iter.Seq2[int, error]
	if m.sum, updates, m.err = tallies.Client(c)(ctx, 1); m.err != nil {
		return m
	}
	for u, err := range updates {
		if m.err = err; err != nil {
			break
		}
		m.sum += u
		m.read = append(m.read, u)
	}
	return m
}

func (s *siege) publish(n int) {
	for range n {
		s.pub.Publish(1)
		synctest.Wait()
	}
}

// feed opens the stream of a query and returns the token of its feed.
func (s *siege) feed(call uint64, query int) string {
	s.t.Helper()
	o := open(call, bus.State)
	o.Features, o.Query = 1, fmt.Append(nil, query)
	if e := s.ask("bad.tally.v1", packet(call, o.Append(nil))); e != nil {
		s.t.Fatal("opening a shared stream:", e.Message)
	}
	for _, m := range s.kept() {
		for rest := m.Data; ; {
			kind, body, next, err := wire.Next(rest)
			if kind == 0 || err != nil {
				break
			}
			var f wire.First
			if kind == wire.KindFirst && f.Parse(body) == nil && f.Feed != "" {
				return f.Feed
			}
			rest = next
		}
	}
	s.t.Fatal("the stream is not shared")
	return ""
}

// join sends a Join and returns what the responder answers.
func (s *siege) join(joins ...wire.Join) (ends []wire.End, feeds []wire.Feed) {
	s.t.Helper()
	var p []byte
	for _, j := range joins {
		p = j.Append(p)
	}
	s.forget()
	s.control(packet(1<<40, p))
	for _, m := range s.kept() {
		if len(m.Data) > 256<<10 {
			s.t.Errorf("answered with a message of %d bytes", len(m.Data))
		}
		for rest := m.Data; ; {
			kind, body, next, err := wire.Next(rest)
			if kind == 0 || err != nil {
				break
			}
			var end wire.End
			var feed wire.Feed
			switch {
			case kind == wire.KindEnd && end.Parse(body) == nil:
				ends = append(ends, end)
			case kind == wire.KindFeed && feed.Parse(body) == nil:
				feeds = append(feeds, feed)
			}
			rest = next
		}
	}
	return ends, feeds
}

func (s *siege) lost(joins ...wire.Join) {
	s.t.Helper()
	if ends, feeds := s.join(joins...); len(ends) != len(joins) || len(feeds) > 0 || ends[0].Error == nil || ends[0].Error.Code != string(bus.Lost) {
		s.t.Errorf("answered with %v and %v, want that it is lost", ends, feeds)
	}
}

// emptied wants every feed to be over that nobody reads, within the time that
// they are kept for.
func (s *siege) emptied() {
	s.t.Helper()
	time.Sleep(15 * time.Second)
	if n := s.pub.Watchers(); n != 1 {
		s.t.Errorf("%d feeds are pumped, want that of the well-behaved caller", n)
	}
}

var sieges = []struct {
	name string
	run  func(*siege)
}{
	{"a join without a call", func(s *siege) {
		token := s.feed(1, 1)
		s.dropped("malformed message", func() { s.join(wire.Join{Feed: token}) })
	}},
	{"a join of a feed that does not exist", func(s *siege) {
		s.feed(1, 1)
		s.lost(wire.Join{Call: 9, Feed: "0123456789abcdef"})
		s.lost(wire.Join{Call: 9})
		s.lost(wire.Join{Call: 9, Feed: strings.Repeat("x.*>", 1000)})
	}},
	{"a join behind what is not kept any more", func(s *siege) {
		s.lost(wire.Join{Call: 9, Feed: s.feed(1, 2), From: 9})
	}},
	{"a join from beyond the end", func(s *siege) {
		token := s.feed(1, 1)
		for _, from := range []uint64{11, 1 << 63, math.MaxUint64} {
			ends, feeds := s.join(wire.Join{Call: 9, Feed: token, From: from})
			if len(ends) > 0 || len(feeds) != 1 || len(feeds[0].Elements) > 0 || feeds[0].Last != 10 {
				s.t.Errorf("from %d: answered with %v and %v, want a mark", from, ends, feeds)
			}
		}
	}},
	{"a call that joins two feeds", func(s *siege) {
		one, two := s.feed(1, 1), s.feed(2, 2)
		s.join(wire.Join{Call: 9, Feed: one, From: 10}, wire.Join{Call: 9, Feed: two, From: 10})
		s.join(wire.Join{Call: 9, Feed: two, From: 10}, wire.Join{Call: 9, Feed: one, From: 10})
		s.control(packet(1<<41, wire.Cancel{Call: 9}.Append(nil)))
		s.emptied()
	}},
	{"a call that joins two feeds, of a client that disappears", func(s *siege) {
		one, two := s.feed(1, 1), s.feed(2, 2)
		s.join(wire.Join{Call: 9, Feed: two, From: 10}, wire.Join{Call: 9, Feed: one, From: 10})
		s.emptied()
	}},
	{"a join that is refused beside one that holds", func(s *siege) {
		token := s.feed(1, 2)
		s.join(wire.Join{Call: 9, Feed: token, From: 10})
		s.lost(wire.Join{Call: 10, Feed: token})
		s.emptied()
	}},
	{"a call that is an open stream's", func(s *siege) {
		s.stream(5)
		token := s.feed(6, 2)
		s.join(wire.Join{Call: 5, Feed: token, From: 10})
		s.control(packet(1<<41, wire.Cancel{Call: 5}.Append(nil)))
		s.emptied()
	}},
	{"a thousand joins of one feed, and one leave", func(s *siege) {
		token := s.feed(1, 2)
		for call := range uint64(1000) {
			s.join(wire.Join{Call: call + 10, Feed: token, From: 10})
		}
		s.control(packet(1<<41, wire.Cancel{Call: 1009}.Append(nil)))
		s.emptied()
	}},
	{"a message full of joins of nothing", func(s *siege) {
		s.feed(1, 1)
		joins := make([]wire.Join, 12_000)
		for i := range joins {
			joins[i] = wire.Join{Call: uint64(i + 10), Feed: "nothing"}
		}
		if ends, _ := s.join(joins...); len(ends) != len(joins) {
			s.t.Errorf("%d of %d joins were answered", len(ends), len(joins))
		}
	}},
	{"joins and leaves in turn", func(s *siege) {
		token := s.feed(1, 2)
		var all []byte
		for call := range uint64(2000) {
			all = wire.Join{Call: call + 10, Feed: token, From: 10}.Append(all)
			all = wire.Cancel{Call: call + 10}.Append(all)
		}
		grows(s.t, 4<<20, func() {
			for range 10 {
				s.control(packet(1<<41, all))
				s.forget()
			}
		})
		s.emptied()
	}},
	{"leaves of memberships that are another's", func(s *siege) {
		token := s.feed(1, 1)
		s.join(wire.Join{Call: 9, Feed: token})
		for call := range uint64(100) {
			s.control(packet(1<<41, wire.Cancel{Call: call}.Append(nil), wire.Reset{Call: call}.Append(nil)))
		}
	}},
}

func TestAFeedSurvivesWhatACallerSends(t *testing.T) {
	for _, c := range sieges {
		t.Run(c.name, func(t *testing.T) { besiege(t, c.run) })
	}
}
