// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/staterpc"
)

func sum(s, u int) int { return s + u }

func replica(t *testing.T, s *script, p durable.Policy) *durable.Replica[int] {
	t.Helper()
	return durable.NewReplica(t.Context(), s.Func, "", sum, p)
}

// A moment is what a test wants of a View.
type moment struct {
	state     int
	snapshots uint64
	live      bool
	age       time.Duration
	err       error
}

func sees(t *testing.T, when string, r *durable.Replica[int], want moment) {
	t.Helper()
	synctest.Wait()
	v := r.View()
	if got := (moment{v.State, v.Snapshots, v.Live, v.Age, v.Err}); got != want {
		t.Errorf("%s: got %+v, want %+v", when, got, want)
	}
	if hasState := v.Snapshots > 0; hasState != (v.Info != nil) || hasState == v.Changed.IsZero() {
		t.Errorf("%s: changed %v by %v", when, v.Changed, v.Info)
	}
}

func TestAReplicaHoldsTheStateAndSaysHowOldItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{
			{takes: time.Second, refuse: bus.NoResponder},
			{updates: []pair{{10, nil}, {5, nil}}, lasts: time.Minute, end: bus.Gone},
			{refuse: bus.Busy},
			{updates: []pair{{7, nil}}, lasts: time.Hour},
		}}
		r := replica(t, s, steady(10*time.Second))
		sees(t, "at first", r, moment{})
		time.Sleep(6 * time.Second)
		sees(t, "refused", r, moment{age: 6 * time.Second, err: bus.NoResponder})
		time.Sleep(6 * time.Second)
		sees(t, "open", r, moment{state: 17, snapshots: 1, live: true})
		time.Sleep(time.Minute)
		sees(t, "lost", r, moment{state: 17, snapshots: 1, age: time.Second, err: bus.Gone})
		time.Sleep(10 * time.Second)
		sees(t, "refused again", r, moment{state: 17, snapshots: 1, age: 11 * time.Second, err: bus.Busy})
		time.Sleep(10 * time.Second)
		sees(t, "fetched anew", r, moment{state: 11, snapshots: 2, live: true})
		r.Close()
		sees(t, "closed", r, moment{state: 11, snapshots: 2, err: durable.ErrClosed})
		time.Sleep(time.Second)
		sees(t, "later", r, moment{state: 11, snapshots: 2, age: time.Second, err: durable.ErrClosed})
		if s.open() != 0 {
			t.Error("a stream is open")
		}
	})
}

func TestAResumedReplicaGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{openings: []opening{{updates: []pair{{10, nil}, broke, resumed, {5, nil}}, lasts: time.Hour}}}
		r := replica(t, s, durable.Policy{Resume: true})
		sees(t, "resumed", r, moment{state: 16, snapshots: 1, live: true})
		if by := r.View().Info.Instance; by != "b" {
			t.Errorf("by %q", by)
		}
		r.Close()
	})
}

// A replica that missed an update would be wrong for ever.
func TestAReplicaFetchesAnewWhatItCannotConvert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := pair{0, &bus.ElementError{Err: errors.New("bad")}}
		s := &script{openings: []opening{{updates: []pair{{10, nil}, bad, {5, nil}}}, {lasts: time.Hour}}}
		r := replica(t, s, steady(time.Second))
		synctest.Wait()
		if v := r.View(); v.State != 11 || v.Live || !errors.Is(v.Err, bus.Lost) {
			t.Errorf("got %+v", v)
		}
		time.Sleep(time.Second)
		sees(t, "anew", r, moment{state: 2, snapshots: 2, live: true})
		r.Close()
	})
}

func TestReadyWaitsForTheFirstState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := replica(t, &script{openings: []opening{{takes: time.Minute, lasts: time.Hour}}}, durable.Policy{})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Ready(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := r.Ready(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		r.Close()
		if err := r.Ready(t.Context()); err != nil {
			t.Errorf("after Close: got %v", err)
		}
	})
}

func TestReadySaysWhyThereIsNoState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := replica(t, &script{openings: []opening{{refuse: bus.NoResponder}}}, steady(time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Ready(ctx); !errors.Is(err, bus.NoResponder) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		r.Close()
		if err := r.Ready(t.Context()); !errors.Is(err, durable.ErrClosed) {
			t.Errorf("after Close: got %v", err)
		}
	})
}

// Whatever ends a replica, its last state can be read, and Err says why.
func TestWhatEndsAReplica(t *testing.T) {
	errMine := errors.New("mine")
	good := &script{openings: []opening{{updates: []pair{{1, nil}}, lasts: time.Minute, end: bus.Gone}}}
	for _, tt := range []struct {
		name  string
		f     staterpc.Func[string, int, int]
		apply func(int, int) int
		final func(error) bool
		after time.Duration
		want  error
	}{
		{"its context", good.Func, sum, nil, time.Hour, errMine},
		{"a final error", good.Func, sum, always, time.Minute, bus.Gone},
		{"a panic of apply", good.Func, func(int, int) int { panic("mine") }, nil, 0, bus.Panicked},
		{"a panic of the Func", func(context.Context, string) (int, iter.Seq2[int, error], error) { panic("mine") }, sum, nil, 0, bus.Panicked},
		{"no Func", nil, sum, nil, 0, bus.Invalid},
		{"no apply", good.Func, nil, nil, 0, bus.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errMine)
				defer cancel()
				start := time.Now()
				r := durable.NewReplica(ctx, tt.f, "", tt.apply, durable.Policy{Final: tt.final})
				<-r.Done()
				if v := r.View(); v.Live || !errors.Is(v.Err, tt.want) || time.Since(start) != tt.after {
					t.Errorf("ended after %v with %+v, want %v", time.Since(start), v, tt.want)
				}
				r.Close()
			})
		})
	}
}

func TestAReplicaLeftByGoexitHasEnded(t *testing.T) {
	r := durable.NewReplica(t.Context(), (&script{openings: []opening{{updates: []pair{{1, nil}}}}}).Func, "", func(int, int) int {
		runtime.Goexit()
		return 0
	}, durable.Policy{})
	<-r.Done()
	if v := r.View(); v.Live || v.Err == nil {
		t.Errorf("got %+v", v)
	}
}

// A state may be changed in place by those who look at it in Read only. Each Read
// has an update under way beside it.
func TestReadSeesNoHalfAppliedUpdate(t *testing.T) {
	type pairs [2]int
	ticks := make(chan int)
	f := func(context.Context, string) (*pairs, iter.Seq2[int, error], error) {
		return &pairs{}, func(yield func(int, error) bool) {
			for i := range ticks {
				if !yield(i, nil) {
					return
				}
			}
		}, nil
	}
	r := durable.NewReplica(t.Context(), f, "", func(p *pairs, _ int) *pairs {
		p[0]++
		runtime.Gosched() // so that whoever may read, does
		p[1]++
		return p
	}, durable.Policy{Final: always})
	for i := range 2000 {
		ticks <- i
		r.Read(func(v durable.View[*pairs]) {
			n := v.State[0]
			runtime.Gosched()
			if *v.State != (pairs{n, n}) {
				t.Errorf("read %v", *v.State)
			}
		})
	}
	close(ticks)
	r.Close()
}

func TestAnUpdateOfAReplicaAllocatesNothing(t *testing.T) {
	replicated := func(n int) float64 {
		return testing.AllocsPerRun(100, func() {
			f := func(context.Context, int) (wide, wides, error) { return wide{}, counted(n), nil }
			r := durable.NewReplica(t.Context(), f, 0, func(s, u wide) wide { return u }, durable.Policy{Final: always})
			<-r.Done()
		})
	}
	if few, many := replicated(1), replicated(1001); many-few > 1 {
		t.Errorf("1 update allocates %v times, 1001 %v times", few, many)
	}
}

// Over a family the version is chosen anew, and the state goes on with that of the
// program's own.
func TestAReplicaAcrossADisconnectAndARollingUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := bustest.NewLink(pricesV1.Handler(downTo1(live)))
		r := durable.NewReplica(t.Context(), prices.Client(link), "A", func(_, now quote) quote { return now }, steady(time.Hour))
		see := func(after time.Duration, version int, state quote, live bool) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if v := r.View(); v.State != state || v.Live != live || v.Info.RPC.Version != version {
				t.Errorf("got %+v of %v, want %+v of v%d", v, v.Info.RPC, state, version)
			}
		}
		see(1500*time.Millisecond, 1, quote{17, 17}, true)
		link.Cut()
		see(0, 1, quote{17, 17}, false)
		link.Heal()
		see(1500*time.Millisecond, 1, quote{17, 17}, true) // fetched anew within 10 ms
		link.Drain(prices.Handlers(live)...)
		see(0, 2, quote{10, 20}, true) // and at once
		see(1500*time.Millisecond, 2, quote{12, 22}, true)
		link.Drain(pricesV1.Handler(downTo1(live))) // back again
		see(0, 1, quote{15, 15}, true)
		r.Close()
	})
}

// A ledger is how many entries there are and their sum.
type ledger struct{ Count, Sum int }

func (l ledger) add(entry int) ledger { return ledger{l.Count + 1, l.Sum + entry} }

// While the link is cut and healed and its responders are drained at random, the
// replica is at all times a state that the source had, and after a quiet moment
// the one that it has.
func TestAReplicaIsAlwaysAStateOfItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(3, 0))
		history := []ledger{{}}
		source := staterpc.NewPublisher(ledger{}, ledger.add, 100)
		entries := staterpc.RPC[string, ledger, int]{Name: "bank.entries", Version: 1}
		handler := entries.Handler(func(ctx context.Context, _ string) (ledger, iter.Seq2[int, error], error) {
			return source.Watch(ctx)
		})
		link := bustest.NewLink(handler)
		r := durable.NewReplica(t.Context(), entries.Client(link), "", ledger.add, durable.Policy{})
		cut, equal := false, 0
		for range 10000 {
			switch n := random.IntN(100); {
			case n < 4:
				if cut = !cut; cut {
					link.Cut()
				} else {
					link.Heal()
				}
			case n < 7 && !cut:
				link.Drain(handler)
			case n < 70:
				entry := random.IntN(1000)
				source.Publish(entry)
				history = append(history, history[len(history)-1].add(entry))
			default:
				time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
			}
			v := r.View()
			if v.State != history[v.State.Count] {
				t.Fatalf("got %+v, which the source never was", v.State)
			}
			synctest.Wait()
			if v := r.View(); v.Live {
				equal++
				if v.State.Count != len(history)-1 {
					t.Fatalf("live with %d entries of %d", v.State.Count, len(history)-1)
				}
			}
		}
		if v := r.View(); equal < 100 || v.Snapshots < 20 {
			t.Errorf("equal to the source %d times, fetched %d times", equal, v.Snapshots)
		}
		r.Close()
	})
}
