// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

// also serves other handlers on a connection of its own, and returns it and the
// server's end.
func (r *resuming) also(t *testing.T, handlers ...bus.Handler) (far *transport.SimConn, end func()) {
	t.Helper()
	far = r.net.Dial()
	srv, err := bus.ServeOn(far, bus.Service{Name: "also"}, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	return far, func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A pipe has no source of its own, but its updates may be those of a Publisher.
func TestAPipeOfAPublishersUpdatesIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		rpc := piperpc.RPC[int, int]{Name: "additions", Version: 1}
		_, end := r.also(t, rpc.Handler(func(ctx context.Context, _ int) (iter.Seq2[int, error], error) {
			_, updates, err := r.pub.Watch(ctx)
			return updates, err
		}))
		defer end()
		ctx, cancel := context.WithCancel(t.Context())
		var got []int
		var events []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ev := range durable.Pipe(ctx, rpc.Client(r.client), 0, durable.Policy{Resume: true}) {
				if ev.Kind == durable.Update {
					got = append(got, ev.Update)
				} else {
					events = append(events, ev.Kind.String())
				}
			}
		}()
		time.Sleep(time.Second)
		r.publish(1, 2)
		r.outage(200*time.Millisecond, 3, 4)
		r.publish(5)
		cancel()
		<-done
		if !slices.Equal(got, []int{1, 2, 3, 4, 5}) || !slices.Equal(events, []string{"Attempting", "Connected", "Lost", "Attempting", "Resumed"}) {
			t.Errorf("got %v, told %q", got, events)
		}
	})
}

// A conversion sends a half of each update and then takes its time, or drops the
// other half: the position follows in a frame of its own, without updates.
func TestAPositionThatIsOwedFollowsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		rpc := staterpc.RPC[int, int, int]{Name: "halves", Version: 1}
		_, end := r.also(t, rpc.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[int, error], error) {
			l, updates, err := r.pub.Watch(ctx)
			return l.Sum, piperpc.Split(updates, func(n int, yield func(int) bool) error {
				yield(n)
				time.Sleep(time.Second)
				return nil
			}), err
		}))
		defer end()
		var info bus.Info
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, updates, err := rpc.Client(r.client)(bus.WithInfo(ctx, &info), 0)
		if err != nil {
			t.Fatal(err)
		}
		var taken atomic.Int64
		go func() {
			for n := range updates {
				taken.Add(int64(n))
			}
		}()
		for _, want := range []struct {
			sum      int64
			position uint64
			exact    bool
		}{{7, 0, false}, {7, 1, true}} {
			if taken.Load() == 0 {
				r.publish(7)
			} else {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if position, exact := info.Reached(); position != want.position || exact != want.exact || taken.Load() != want.sum {
				t.Errorf("%d taken, at %d (exact: %v), want %+v", taken.Load(), position, exact, want)
			}
		}
	})
}

// A stream that is taken up has its state already: the caller converts each
// update once and no state again, and a conversion at the responder starts from
// the state at that position, never from a zero one.
func TestConversionsAreNotRunAgainAndNeverOnAZeroState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		r.publish(1000)
		rpc := staterpc.RPC[int, ledger, int]{Name: "totals", Version: 1}
		var starts []int // of the responder's conversion
		_, end := r.also(t, rpc.Handler(func(ctx context.Context, _ int) (ledger, iter.Seq2[int, error], error) {
			l, updates, err := r.pub.Watch(ctx)
			starts = append(starts, l.Sum)
			total := l.Sum // which the updates of this version are
			return l, piperpc.Split(updates, func(n int, yield func(int) bool) error {
				total += n
				yield(total)
				return nil
			}), err
		}))
		defer end()
		states, updates := []int{}, []int{}
		following := staterpc.Convert(same, func(l ledger) int {
			states = append(states, l.Sum)
			return l.Sum
		}, func(n int) int {
			updates = append(updates, n)
			return n
		})(rpc.Client(r.client))
		ctx, cancel := context.WithCancel(t.Context())
		done := follow(ctx, following)
		time.Sleep(time.Second)
		r.publish(1, 2)
		r.outage(200*time.Millisecond, 3, 4)
		r.publish(5)
		cancel()
		if got := <-done; !slices.Equal(got.events, resumed) {
			t.Errorf("told %q", got.events)
		}
		if !slices.Equal(states, []int{1000}) || !slices.Equal(updates, []int{1001, 1003, 1006, 1010, 1015}) {
			t.Errorf("the caller converted the states %v and the updates %v", states, updates)
		}
		if !slices.Equal(starts, []int{1000, 1003}) {
			t.Errorf("the responder began with %v", starts)
		}
	})
}

// A state that may resume does not ask a responder that leaves: another has it at
// once.
func TestADrainSendsAStateElsewhereAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		old := r.srv
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		type told struct {
			kind durable.Kind
			by   string
			at   time.Time
		}
		events := make(chan told, 100)
		go func() {
			for ev := range durable.State(ctx, sumsV1.Client(r.client), 0, durable.Policy{Resume: true}) {
				e := told{kind: ev.Kind, at: time.Now()}
				if ev.Info != nil {
					e.by = ev.Info.Instance
				}
				events <- e
			}
		}()
		time.Sleep(2 * time.Second)
		other := *r
		other.serve(t, 10)
		defer other.close(t)
		time.Sleep(2 * time.Second)
		go func() {
			if err := old.Drain(ctx); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Minute)
		var got []durable.Kind
		var lost, last told
		for len(events) > 0 {
			e := <-events
			got = append(got, e.kind)
			switch e.kind {
			case durable.Lost:
				lost = e
			case durable.Connected:
				last = e
			}
		}
		if took := last.at.Sub(lost.at); last.by != other.srv.Instance() || took != 0 {
			t.Errorf("connected to %s after %v", last.by, took)
		}
		want := []durable.Kind{durable.Attempting, durable.Connected, durable.Snapshot, durable.Lost, durable.Attempting, durable.Connected, durable.Snapshot}
		if !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

// The source at one instance is replaced by another that has had as many updates.
// What is asked for of the one is not answered with those of the other; nor is
// what the one sent before, and arrives late, applied to the other's state.
func TestNoUpdateOfAnOldEpochIsAppliedToTheNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		add := func(l ledger, n int) ledger { return ledger{l.Sum + n} }
		publisher := func(updates ...int) *staterpc.Publisher[ledger, int] {
			p := staterpc.NewPublisher(ledger{}, add, 100).Keep(staterpc.Backlog[int]{Updates: 100})
			for _, n := range updates {
				p.Publish(n)
			}
			return p
		}
		var source atomic.Pointer[staterpc.Publisher[ledger, int]]
		source.Store(publisher(1, 2))
		rpc := staterpc.RPC[int, ledger, int]{Name: "replaced", Version: 1}
		far, end := r.also(t, rpc.Handler(func(ctx context.Context, _ int) (ledger, iter.Seq2[int, error], error) {
			return source.Load().Watch(ctx)
		}))
		defer end()
		ctx, cancel := context.WithCancel(t.Context())
		var done []<-chan *replica
		for range 100 {
			done = append(done, follow(ctx, up(rpc.Client(r.client))))
		}
		time.Sleep(time.Second)

		var holding atomic.Bool
		var held []transport.Msg
		r.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if from == far && holding.Load() {
				held = append(held, m)
				return nil
			}
			return []transport.Msg{m}
		})
		holding.Store(true)
		for range 3 {
			source.Load().Publish(1_000_000) // positions 3 to 5 of the old epoch
		}
		synctest.Wait()
		late := slices.Clone(held)
		holding.Store(false)
		source.Store(publisher(10, 20)) // of which 3 to 5 come next
		r.near.Disconnect()
		r.near.Reconnect()
		time.Sleep(10 * time.Second)
		for _, m := range late {
			if err := r.far.Publish(m.Subject, m.Reply, m.Data); err != nil {
				t.Error(err)
			}
		}
		for _, n := range []int{30, 40, 50} {
			source.Load().Publish(n)
			synctest.Wait()
		}
		cancel()
		if len(late) == 0 {
			t.Error("nothing was held")
		}
		for i, d := range done {
			if got := <-d; got.sum != 150 || !slices.Equal(got.events, anew) {
				t.Fatalf("state %d: sum %d, told %q", i, got.sum, got.events)
			}
		}
	})
}

// The state where a reader stood is made again only for those who missed something.
func TestWhoMissedNothingIsTakenUpWithoutACallOfApply(t *testing.T) {
	for _, tt := range []struct {
		missed []int
		want   int64 // calls of apply beside those of Publish
	}{{nil, 0}, {[]int{4}, 3}} {
		synctest.Test(t, func(t *testing.T) {
			r := newResuming(t, 10)
			var applied atomic.Int64
			pub := staterpc.NewPublisher(0, func(s, n int) int {
				applied.Add(1)
				return s + n
			}, 100).Keep(staterpc.Backlog[int]{Updates: 10})
			rpc := staterpc.RPC[int, int, int]{Name: "counted", Version: 1}
			_, end := r.also(t, rpc.Handler(func(ctx context.Context, _ int) (int, iter.Seq2[int, error], error) { return pub.Watch(ctx) }))
			defer end()
			ctx, cancel := context.WithCancel(t.Context())
			done := follow(ctx, rpc.Client(r.client))
			time.Sleep(time.Second)
			publish := func(updates ...int) {
				for _, n := range updates {
					pub.Publish(n)
					synctest.Wait()
				}
				applied.Store(0)
			}
			publish(1, 2, 3)
			r.near.Freeze(true)
			publish(tt.missed...)
			r.near.Disconnect()
			r.near.Freeze(false)
			time.Sleep(20 * time.Second) // so that each side forgets the other
			r.near.Reconnect()
			time.Sleep(10 * time.Second)
			cancel()
			if got := <-done; !slices.Equal(got.events, resumed) || applied.Load() != tt.want {
				t.Errorf("missed %v: %d calls, told %q", tt.missed, applied.Load(), got.events)
			}
		})
	}
}
