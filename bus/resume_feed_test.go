// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/staterpc"
)

// A durable caller that resumes reads a shared feed as others do, and is told of
// each outage. Where the feed does not repair it, it goes on by a feed that begins
// where the first of them was.
func TestWhoResumesSharesAFeedAndIsToldOfEachOutage(t *testing.T) {
	for _, tt := range []struct {
		name     string
		backlog  int
		away     time.Duration
		want     []string
		watchers int  // of the publisher afterwards
		deaf     bool // no feed reaches them afterwards
	}{
		{"the feed has what was missed", 10, 200 * time.Millisecond, resumed, 1, false},
		{"only the publisher has it", 10, 20 * time.Second, resumed, 1, false},
		{"the publisher has it, and feeds reach nobody", 10, 20 * time.Second, resumed, 3, true},
		{"nobody has it", 2, 20 * time.Second, anew, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newResuming(t, tt.backlog)
				rpc := staterpc.RPC[int, int, int]{Name: "tally", Version: 1}
				_, end := r.also(t, rpc.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[int, error], error) {
					l, updates, err := r.pub.Watch(ctx)
					return l.Sum, updates, err
				}).Shared())
				defer end()
				ctx, cancel := context.WithCancel(t.Context())
				var followers [3]<-chan *replica
				for i := range followers {
					followers[i] = follow(ctx, rpc.Client(r.client))
				}
				time.Sleep(time.Second)
				r.publish(1, 5)
				if n := r.pub.Watchers(); n != 1 {
					t.Errorf("%d watch for three who resume, want the feed", n)
				}
				if tt.deaf {
					r.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
						if strings.HasPrefix(m.Subject, "_D.f.") {
							return nil
						}
						return []transport.Msg{m}
					})
				}
				r.outage(tt.away, 3, 0, 8)
				time.Sleep(5 * time.Second) // after which nothing is left of a feed that nobody reads
				r.publish(7)
				if n := r.pub.Watchers(); n != tt.watchers {
					t.Errorf("%d watch after the outage, want %d", n, tt.watchers)
				}
				cancel()
				for i, f := range followers {
					if got := <-f; got.sum != 24 || !slices.Equal(got.events, tt.want) {
						t.Errorf("follower %d: sum %d, told %q", i, got.sum, got.events)
					}
				}
			})
		})
	}
}

// A state whose responder is gone for good is opened anew where another serves as
// soon as that one has had its time to return: it does not wait for an attempt that
// may be far off. One who was heard no more has one, as across accounts, where
// nothing else says that a responder is gone.
func TestAStateWhoseResponderDoesNotReturnIsOpenedAnewInTime(t *testing.T) {
	for _, tt := range []struct {
		name   string
		deaf   bool // the feed alone is silent, and its responder dies when the caller notices
		within time.Duration
	}{
		{"silence tells", false, flow.SilenceBound + flow.SettleTime + time.Second},
		{"attempts tell", true, 2*flow.SettleTime + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newResuming(t, 10)
				rpc := staterpc.RPC[int, int, int]{Name: "tally", Version: 1}
				shared := rpc.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[int, error], error) {
					l, updates, err := r.pub.Watch(ctx)
					return l.Sum, updates, err
				}).Shared()
				old, end := r.also(t, shared)
				defer end()
				ctx, cancel := context.WithCancel(t.Context())
				var instance atomic.Pointer[string]
				var died, back time.Time
				die := func() {
					died = time.Now()
					old.Disconnect()
				}
				failed := 0
				done := make(chan struct{})
				go func() {
					defer close(done)
					wait := func(n int) time.Duration { return time.Duration(n) * 10 * time.Second }
					for ev := range durable.State(ctx, rpc.Client(r.client), 0, durable.Policy{Resume: true, Wait: wait}) {
						switch {
						case ev.Kind == durable.Connected:
							instance.CompareAndSwap(nil, &ev.Info.Instance)
						case ev.Kind == durable.Snapshot:
							back = time.Now()
						case ev.Kind == durable.Lost && tt.deaf && failed == 0:
							die()
						case ev.Kind == durable.FailedToConnect:
							failed++
						}
					}
				}()
				time.Sleep(time.Second)
				r.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
					if !tt.deaf && strings.HasPrefix(m.Subject, "_D.c."+*instance.Load()+".") || tt.deaf && strings.HasPrefix(m.Subject, "_D.f.") {
						return nil // and no 503 either
					}
					return []transport.Msg{m}
				})
				if !tt.deaf {
					die()
				}
				_, end = r.also(t, shared)
				defer end()
				time.Sleep(2 * time.Minute)
				cancel()
				<-done
				if took := back.Sub(died); took <= 0 || took > tt.within || tt.deaf != (failed > 0) {
					t.Errorf("a fresh state came after %v and %d attempts that failed, want %v at most", took, failed, tt.within)
				}
			})
		})
	}
}
