// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/staterpc"
)

// standing returns how far a stream has come, as text that can be compared.
func standing(i *bus.Info) (s struct {
	epoch string
	begun uint64
	now   uint64
	exact bool
},
) {
	s.epoch, s.begun = i.Epoch, i.Position
	s.now, s.exact = i.Reached()
	return s
}

// An update that a version drops leaves a hole in what is seen of it and none in
// the positions; one that it splits has one position.
func TestPositionsAreTheSourcesInEveryVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		ctx, cancel := context.WithCancel(t.Context())
		open := func(f staterpc.Func[int, int, int]) *bus.Info {
			t.Helper()
			var info bus.Info
			_, updates, err := f(bus.WithInfo(ctx, &info), 0)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for range updates {
				}
			}()
			return &info
		}
		v1 := open(sumsV1.Client(r.client))
		v2 := open(up(sumsV2.Client(r.client)))
		at := standing(v1)
		if at.epoch == "" || at.begun != 0 || at.now != 0 || !at.exact || at != standing(v2) {
			t.Errorf("at first: %v and %v", at, standing(v2))
		}
		for _, tt := range []struct {
			publish []int
			v1, v2  uint64
		}{
			{[]int{1, 0, 5}, 3, 3},
			{[]int{0}, 3, 4}, // nothing of it is sent at version 1, nor a message for it alone
			{[]int{2}, 5, 5},
		} {
			r.publish(tt.publish...)
			at1, at2 := at, at
			at1.now, at2.now = tt.v1, tt.v2
			if standing(v1) != at1 || standing(v2) != at2 {
				t.Errorf("after %v: got %v and %v, want %v and %v", tt.publish, standing(v1), standing(v2), at1, at2)
			}
		}
		at.begun, at.now = 5, 5
		if later := standing(open(sumsV1.Client(r.client))); later != at {
			t.Errorf("one that came later is at %v, want %v", later, at)
		}
		cancel()
	})
}

func TestAStreamWithoutABacklogHasAPositionToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 0)
		var info bus.Info
		if _, _, err := sumsV1.Client(r.client)(bus.WithInfo(t.Context(), &info), 0); err != nil {
			t.Fatal(err)
		}
		if at := standing(&info); at.epoch == "" || at.now != 0 || !at.exact {
			t.Errorf("got %v", at)
		}
	})
}

func TestResumedSaysFromWhere(t *testing.T) {
	for name, lost := range map[string][]int{"nothing was lost": nil, "updates were lost": {3, 0, 8}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newResuming(t, 10)
				ctx, cancel := context.WithCancel(t.Context())
				var begun, resumed *bus.Info
				done := make(chan struct{})
				go func() {
					defer close(done)
					for ev := range durable.State(ctx, sumsV1.Client(r.client), 0, durable.Policy{Resume: true}) {
						switch ev.Kind {
						case durable.Connected:
							begun = ev.Info
						case durable.Resumed:
							resumed = ev.Info
						}
					}
				}()
				time.Sleep(time.Second)
				r.publish(1, 0, 5)
				r.outage(200*time.Millisecond, lost...)
				r.publish(2)
				cancel()
				<-done
				want := standing(begun)
				want.begun, want.now = 3, uint64(4+len(lost))
				if at := standing(resumed); at != want || at.epoch == "" || begun.Position != 0 {
					t.Errorf("got %v, want %v", at, want)
				}
			})
		})
	}
}

// A replica is at a position of its source's, which goes on across an outage,
// another version and a fresh state.
func TestAReplicasPositionIsThatOfItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		add := func(s, n int) int { return s + n }
		r := newResuming(t, 3)
		v1 := durable.NewReplica(t.Context(), sumsV1.Client(r.client), 0, add, durable.Policy{Resume: true})
		v2 := durable.NewReplica(t.Context(), up(sumsV2.Client(r.client)), 0, add, durable.Policy{})
		merged := durable.NewReplica(t.Context(), staterpc.Conflate(sumsV1.Client(r.client), add), 0, add, durable.Policy{Resume: true})
		position := uint64(0)
		publish := func(updates ...int) {
			position += uint64(len(updates))
			r.publish(updates...)
		}
		same := func(when string, sum int) {
			t.Helper()
			synctest.Wait()
			for replica, version := range map[*durable.Replica[int]]int{v1: 1, v2: 2, merged: 1} {
				if v := replica.View(); v.State != sum || v.Position != position || !v.Exact || !v.Live || v.Info.RPC.Version != version {
					t.Errorf("%s: version %d (conflated: %v) is at %+v, want %d at %d", when, version, replica == merged, v, sum, position)
				}
			}
			if v1.View().Info.Epoch != v2.View().Info.Epoch {
				t.Errorf("%s: the epochs differ", when)
			}
		}
		time.Sleep(time.Second)
		same("at first", 0)
		publish(1, 0, 5)
		same("after updates", 6)
		position += 2
		r.outage(200*time.Millisecond, 0, 8)
		same("after an outage", 14)
		position += 4 // more than are kept
		r.outage(200*time.Millisecond, 1, 1, 0, 1)
		same("fetched anew", 17)
		publish(3)
		same("at last", 20)
		v1.Close()
		v2.Close()
		merged.Close()
		if v := v1.View(); v.State != 20 || v.Position != position || v.Live {
			t.Errorf("closed: %+v", v)
		}
	})
}

// Whoever reads a replica at an exact position, while updates come in messages of
// many, has the state that its source had there; also where they are merged on
// their way to it.
func TestAStateAtAnExactPositionIsTheSourcesThere(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		statesAtPositions(t, func(f staterpc.Func[int, int, int]) staterpc.Func[int, int, int] { return f })
	})
	t.Run("conflated", func(t *testing.T) {
		statesAtPositions(t, func(f staterpc.Func[int, int, int]) staterpc.Func[int, int, int] {
			return staterpc.Conflate(f, func(older, newer int) int { return older + newer })
		})
	})
}

func statesAtPositions(t *testing.T, way func(staterpc.Func[int, int, int]) staterpc.Func[int, int, int]) {
	synctest.Test(t, func(t *testing.T) {
		const last = 2000
		r := newResuming(t, 10)
		add := func(s, n int) int {
			runtime.Gosched() // so that who may read, does
			return s + n
		}
		replica := durable.NewReplica(t.Context(), way(sumsV1.Client(r.client)), 0, add, durable.Policy{})
		defer replica.Close()
		if err := replica.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		sums := make([]int, last+1)
		for n := 1; n <= last; n++ {
			sums[n] = sums[n-1] + n
		}
		go func() {
			for n := 1; n <= last; n++ {
				r.pub.Publish(n)
				if n%300 == 0 {
					time.Sleep(time.Second)
				}
			}
		}()
		exact, between := 0, 0
		for position := uint64(0); position < last; {
			v := replica.View()
			position = v.Position
			switch {
			case v.State == sums[position] && v.Exact:
				exact++
				time.Sleep(time.Millisecond)
			case v.Exact || v.State < sums[position]:
				t.Fatalf("%d at %d (exact: %v), where the source had %d", v.State, position, v.Exact, sums[position])
			default:
				between++
			}
			runtime.Gosched()
		}
		if exact == 0 {
			t.Error("no exact position was seen")
		}
		t.Logf("%d states at a position, %d within a message", exact, between)
	})
}
