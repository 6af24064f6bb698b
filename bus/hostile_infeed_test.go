// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/staterpc"
)

var lured = staterpc.RPC[int, int, int]{Name: "bad", Version: 1}

const lureSubject = "_D.f.bad.v1.hostile.token"

// A lure is a hostile responder whose streams are shared, and one who reads one.
type lure struct {
	*hostile
	t      *testing.T
	client *bus.Client
	inbox  string // of the client
	read   []int
	faults int
	err    error // that the stream ended with
	ended  bool
}

// newLure opens the stream behind position at.
func newLure(t *testing.T, ctx context.Context, net *transport.Net, client *bus.Client, at uint64) *lure {
	l := &lure{t: t, client: client, hostile: newHostile(t, net, "_D.c.hostile")}
	l.subscribe(t, "bad.v1", func(m transport.Msg) {
		n, _ := wire.Number(m.Data)
		l.inbox = m.Reply
		first := wire.First{Call: n, Seq: 1, Data: []byte("0"), Feed: "token", Epoch: "epoch", Position: at}
		l.publish(m.Reply, "_D.c.hostile.token.1", packet(1, accept(n), first.Append(nil)))
	})
	go func() {
		_, updates, err := lured.Client(client)(ctx, 0)
		if l.err = err; err == nil {
			l.loop(updates)
		}
		l.ended = true
	}()
	synctest.Wait()
	l.feed(wire.Feed{Before: at, Last: at}) // which shows that it reaches the client
	return l
}

func (l *lure) loop(updates iter.Seq2[int, error]) {
	for u, err := range updates {
		switch {
		case err == nil:
			l.read = append(l.read, u)
		case bus.IsElement(err):
			l.faults++
		default:
			l.err = err
		}
	}
}

func (l *lure) publish(subject, reply string, packet []byte) {
	if err := l.conn.Publish(subject, reply, packet); err != nil {
		l.t.Error(err)
	}
}

// feed publishes frames on the feed.
func (l *lure) feed(frames ...wire.Feed) {
	for _, f := range frames {
		l.publish(lureSubject, "", f.Append(nil))
		synctest.Wait()
	}
}

// answer sends frames to the client's inbox.
func (l *lure) answer(frames ...[]byte) {
	l.publish(l.inbox, "", packet(1, frames...))
	synctest.Wait()
}

// membership is the call of the newest Join.
func (l *lure) membership() (call uint64) {
	for _, m := range l.kept() {
		for rest := m.Data; ; {
			kind, body, next, err := wire.Next(rest)
			if kind == 0 || err != nil {
				break
			}
			var j wire.Join
			if kind == wire.KindJoin && j.Parse(body) == nil {
				call = j.Call
			}
			rest = next
		}
	}
	return call
}

// numbers are the elements of a frame: those from a to b.
func numbers(a, b int) []byte {
	var batch wire.Batch
	for n := a; n <= b; n++ {
		batch.AppendBytes(fmt.Append(nil, n))
	}
	return slices.Clone(batch.Records())
}

// frame has the updates behind before up to last, each with its own number.
func frame(before, last uint64) wire.Feed {
	return wire.Feed{Before: before, Last: last, Elements: numbers(int(before)+1, int(last))}
}

var lures = []struct {
	name string
	drop string // reason in Client.Dropped; "" is none
	send func(*lure)
}{
	{"a torn packet", "malformed message", func(l *lure) { l.publish(lureSubject, "", torn()) }},
	{"a frame that is none of a feed", "frame that does not belong here", func(l *lure) {
		l.publish(lureSubject, "", packet(1, end(l.membership(), 1, 0)))
	}},
	{"a frame that ends before it begins", "malformed message", func(l *lure) {
		l.feed(wire.Feed{Before: 9, Last: 3, Elements: numbers(4, 9)}, wire.Feed{Before: math.MaxUint64, Last: 0})
	}},
	{"more elements than positions", "malformed message", func(l *lure) { l.feed(wire.Feed{Before: 0, Last: 2, Elements: numbers(1, 3)}) }},
	{"elements of a mark", "malformed message", func(l *lure) { l.feed(wire.Feed{Elements: numbers(1, 1)}) }},
	{"steps beyond the frame", "malformed message", func(l *lure) {
		l.feed(wire.Feed{Before: 0, Last: 3, Steps: []uint32{1, 1, 2}, Elements: numbers(1, 3)})
	}},
	{"steps beyond all positions", "malformed message", func(l *lure) {
		l.feed(wire.Feed{Before: math.MaxUint64 - 1, Last: math.MaxUint64, Steps: []uint32{1, math.MaxUint32}, Elements: numbers(1, 2)})
	}},
	{"a first step of nothing", "malformed message", func(l *lure) {
		l.feed(wire.Feed{Before: 0, Last: 3, Steps: []uint32{0, 1, 1}, Elements: numbers(1, 3)})
	}},
	{"fewer steps than elements", "malformed message", func(l *lure) {
		l.feed(wire.Feed{Before: 0, Last: 3, Steps: []uint32{1, 1}, Elements: numbers(1, 3)})
	}},
	{"a fault of no element", "malformed message", func(l *lure) {
		l.feed(wire.Feed{Before: 0, Last: 3, Faults: []uint32{3}, Elements: numbers(1, 3)},
			wire.Feed{Before: 0, Last: 3, Faults: []uint32{0, math.MaxUint32}, Elements: numbers(1, 3)})
	}},
	{"elements that are none", "malformed message", func(l *lure) {
		l.feed(wire.Feed{Before: 0, Last: 3, Elements: []byte{0x32, 9, 1}})
	}},
	{"frames again, and earlier ones", "", func(l *lure) { l.feed(frame(0, 2), frame(0, 2), frame(1, 2), frame(0, 1), frame(1, 3), frame(0, 3)) }},
	{"a frame beyond what comes next", "", func(l *lure) { l.feed(frame(5, 6), frame(2, 3)) }},
	{"a mark beyond all", "", func(l *lure) { l.feed(wire.Feed{Before: math.MaxUint64, Last: math.MaxUint64}) }},
	{"an answer to a Join that was never sent", "frame of a call that has ended", func(l *lure) {
		f := frame(0, 3)
		f.Call = l.membership() + 1000
		l.answer(f.Append(nil))
	}},
	{"answers to a Join with bad positions", "malformed message", func(l *lure) {
		l.answer(wire.Feed{Call: l.membership(), Before: 3, Last: 1, Elements: numbers(1, 3)}.Append(nil))
	}},
	{"marks in answer to a Join, without end", "", func(l *lure) {
		mark := wire.Feed{Call: l.membership(), Before: math.MaxUint64, Last: math.MaxUint64}.Append(nil)
		for range 1000 {
			l.answer(mark)
		}
		if n := len(l.kept()); n > 100 {
			l.t.Errorf("they were answered with %d messages", n)
		}
	}},
}

func TestAReaderOfAFeedSurvivesWhatAResponderSends(t *testing.T) {
	for _, c := range lures {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transport.NewNet(1)
				client := serveGood(t, net)
				good := watch(t, client)
				ctx, cancel := context.WithCancel(t.Context())
				l := newLure(t, ctx, net, client, 0)
				c.send(l)
				l.feed(frame(0, 3), frame(3, 6))
				if !slices.Equal(l.read, []int{1, 2, 3, 4, 5, 6}) || l.ended {
					t.Errorf("read %v; ended: %v, %v", l.read, l.ended, l.err)
				}
				if c.drop != "" && client.Dropped()[c.drop] == 0 {
					t.Errorf("dropped: %v, want one %q", client.Dropped(), c.drop)
				}
				good.undisturbed(t)
				cancel()
				synctest.Wait()
			})
		})
	}
}

// TestAFeedThatEndsBeyondWhatComesIsLost as its end says that more was to come.
func TestAFeedThatEndsBeyondWhatComesIsLost(t *testing.T) {
	for _, count := range []uint64{4, 1 << 63, math.MaxUint64} {
		synctest.Test(t, func(t *testing.T) {
			net := transport.NewNet(1)
			client := serveGood(t, net)
			l := newLure(t, t.Context(), net, client, 0)
			l.feed(frame(0, 3))
			l.answer(end(l.membership(), 0, count))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if !l.ended || !errors.Is(l.err, bus.Lost) && !errors.Is(l.err, bus.Gone) || len(l.read) != 3 {
				t.Errorf("ended: %v, %v; read %v", l.ended, l.err, l.read)
			}
		})
	}
}

// TestAnotherInstanceDoesNotDisturbAFeed, which knows the client's address and
// speaks of all its calls.
func TestAnotherInstanceDoesNotDisturbAFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		wait := followers(ctx, client, 3)
		s.pub.Publish(1)
		l := newLure(t, ctx, s.net, client, 0)
		lie := wire.Beat{From: "hostile"}
		var frames []byte
		for call := range uint64(50) {
			lie.Calls = append(lie.Calls, wire.BeatCall{Call: call, Number: 1 << 40})
			frames = wire.Feed{Call: call, Before: 5, Last: 1}.Append(frames)
			frames = wire.Feed{Call: call, Elements: numbers(1, 9)}.Append(frames)
			frames = wire.Feed{Call: call}.Append(frames)
		}
		joins := 0
		s.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if kind, _, _, _ := wire.Next(m.Data); kind == wire.KindJoin && strings.HasPrefix(m.Subject, "_D.c."+s.srv.Instance()) {
				joins++
			}
			return []transport.Msg{m}
		})
		for range 100 {
			l.answer(frames)
			l.publish(l.inbox, "_D.c.hostile.token.1", packet(1, lie.Append(nil)))
			s.pub.Publish(1)
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		if joins > 0 {
			t.Errorf("the feed was joined %d times more", joins)
		}
		cancel()
		for i, r := range wait() {
			if r.sum != 101 || len(r.read) != 101 || !errors.Is(r.err, context.Canceled) {
				t.Errorf("reader %d has %d, of %d updates: %v", i, r.sum, len(r.read), r.err)
			}
		}
		synctest.Wait()
	})
}

// TestAFeedKeepsNoMoreThanItsBound whatever comes, of small updates too, each of
// which needs more memory than it has bytes.
func TestAFeedKeepsNoMoreThanItsBound(t *testing.T) {
	const limit = 40 << 20
	for name, send := range map[string]func(l *lure, n uint64, elements []byte, count uint64){
		"in order": func(l *lure, n uint64, elements []byte, count uint64) {
			l.feed(wire.Feed{Before: n * count, Last: (n + 1) * count, Elements: elements})
		},
		"behind a gap": func(l *lure, n uint64, elements []byte, count uint64) {
			l.feed(wire.Feed{Before: n*count + 1, Last: (n+1)*count + 1, Elements: elements})
		},
	} {
		for size, count := range map[int]uint64{0: 10_000, 100_000: 2} {
			t.Run(fmt.Sprintf("%s, of %d bytes", name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					net := transport.NewNet(1)
					client := serveGood(t, net)
					good := watch(t, client)
					ctx, cancel := context.WithCancel(t.Context())
					l := newLure(t, context.WithoutCancel(ctx), net, client, 0)
					_, slow, err := lured.Client(client)(ctx, 0) // and never reads
					if err != nil || slow == nil {
						t.Fatal(err)
					}
					var batch wire.Batch
					for range count {
						batch.AppendBytes(make([]byte, size))
					}
					grows(t, limit, func() {
						for n := range uint64(100) {
							send(l, n, batch.Records(), count)
						}
					})
					good.undisturbed(t)
					cancel()
				})
			})
		}
	}
}
