// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

// A ledger is a state of which every snapshot that is encoded is counted.
type ledger struct{ Sum int }

var snapshots atomic.Int64

func (l ledger) MarshalJSON() ([]byte, error) {
	snapshots.Add(1)
	return fmt.Appendf(nil, `{"Sum":%d}`, l.Sum), nil
}

var (
	sumsV1 = staterpc.RPC[int, int, int]{Name: "sums", Version: 1}
	sumsV2 = staterpc.RPC[int, ledger, int]{Name: "sums", Version: 2}

	same = func(n int) int { return n }
)

// resuming is a publisher that keeps a backlog, and who watches it.
type resuming struct {
	net       *transport.Net
	near, far *transport.SimConn
	client    *bus.Client
	srv       *bus.Server
	pub       *staterpc.Publisher[ledger, int]
}

func newResuming(t *testing.T, backlog int, mw ...bus.Middleware) *resuming {
	t.Helper()
	net := transport.NewNet(1)
	r := &resuming{net: net, near: net.Dial()}
	r.serve(t, backlog, mw...)
	r.client = bus.NewClientOn(r.near, bus.ClientOptions{})
	t.Cleanup(func() {
		if err := r.client.Close(); err != nil {
			t.Error(err)
		}
		r.close(t)
	})
	snapshots.Store(0)
	return r
}

// serve begins a responder with a publisher of its own, at both versions.
func (r *resuming) serve(t *testing.T, backlog int, mw ...bus.Middleware) {
	t.Helper()
	r.far = r.net.Dial()
	add := func(l ledger, n int) ledger { return ledger{l.Sum + n} }
	pub := staterpc.NewPublisher(ledger{}, add, 1000).Keep(staterpc.Backlog[int]{Updates: backlog})
	r.pub = pub
	v2 := staterpc.Func[int, ledger, int](func(ctx context.Context, _ int) (ledger, iter.Seq2[int, error], error) { return pub.Watch(ctx) })
	// The older version has each update in halves, and no zeros.
	v1 := func(ctx context.Context, q int) (int, iter.Seq2[int, error], error) {
		l, updates, err := v2(ctx, q)
		return l.Sum, halves(updates), err
	}
	var err error
	r.srv, err = bus.ServeOn(r.far, bus.Service{Name: "test", Middleware: mw}, sumsV2.Handler(v2), sumsV1.Handler(v1))
	if err != nil {
		t.Fatal(err)
	}
}

func (r *resuming) close(t *testing.T) {
	t.Helper()
	if err := r.srv.Close(); err != nil {
		t.Error(err)
	}
}

func halves(updates iter.Seq2[int, error]) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n, err := range updates {
			if err != nil || n == 0 {
				if err != nil && !yield(0, err) {
					return
				}
				continue
			}
			if !yield(n/2, nil) || !yield(n-n/2, nil) {
				return
			}
		}
	}
}

// A replica is what one durable state was told.
type replica struct {
	sum    int
	events []string
}

func (r *replica) on(ev durable.Event[int, int]) {
	if n := len(r.events); n > 0 && r.events[n-1] == "Connected" && ev.Kind != durable.Snapshot {
		r.events = append(r.events, "Connected without a Snapshot behind it")
	}
	switch ev.Kind {
	case durable.Snapshot:
		r.sum = ev.State
	case durable.Update:
		r.sum += ev.Update
		return
	}
	r.events = append(r.events, ev.Kind.String())
}

func (r *replica) count(event string) (n int) {
	for _, e := range r.events {
		if e == event {
			n++
		}
	}
	return n
}

// follow keeps a state until ctx is done.
func follow(ctx context.Context, f staterpc.Func[int, int, int]) <-chan *replica {
	done := make(chan *replica, 1)
	go func() {
		r := new(replica)
		for ev := range durable.State(ctx, f, 0, durable.Policy{Resume: true}) {
			r.on(ev)
		}
		done <- r
	}()
	return done
}

// up converts version 2 for who knows version 1.
func up(f staterpc.Func[int, ledger, int]) staterpc.Func[int, int, int] {
	return staterpc.Convert(same, func(l ledger) int { return l.Sum }, same)(f)
}

// versions are the ways from a caller that knows sums as they were in version 1.
func versions(c bus.Caller) map[string]staterpc.Func[int, int, int] {
	converting := versioned.New(versioned.Via(sumsV2, up, nil))
	return map[string]staterpc.Func[int, int, int]{
		"version 1, converted by the responder": sumsV1.Client(c),
		"version 2, converted by the caller":    converting.Client(c),
	}
}

// outage loses what is published in it, and ends with both sides connected.
func (r *resuming) outage(d time.Duration, during ...int) {
	r.near.Freeze(true)
	r.publish(during...)
	r.near.Disconnect()
	r.near.Freeze(false)
	time.Sleep(d)
	r.near.Reconnect()
	time.Sleep(10 * time.Second)
}

func (r *resuming) publish(updates ...int) {
	for _, n := range updates {
		r.pub.Publish(n)
		synctest.Wait()
	}
}

var (
	opened  = []string{"Attempting", "Connected", "Snapshot"}
	resumed = append(slices.Clone(opened), "Lost", "Attempting", "Resumed")
	anew    = append(slices.Clone(opened), "Lost", "Attempting", "Connected", "Snapshot")
)

func TestAnInterruptedStateGoesOnWhereItWas(t *testing.T) {
	for _, tt := range []struct {
		name    string
		backlog int
		away    time.Duration
		during  []int
		want    []string
		states  int64
	}{
		{"nothing was lost", 10, 200 * time.Millisecond, nil, resumed, 1},
		{"updates were lost", 10, 200 * time.Millisecond, []int{3, 0, 8}, resumed, 1},
		{"as many as are kept", 3, 200 * time.Millisecond, []int{3, 0, 8}, resumed, 1},
		{"one more than is kept", 2, 200 * time.Millisecond, []int{3, 0, 8}, anew, 2},
		{"away for so long that each side forgot the other", 10, 20 * time.Second, []int{3, 0, 8}, resumed, 1},
		{"nothing is kept", 0, 200 * time.Millisecond, []int{3, 0, 8}, anew, 2},
	} {
		for name := range versions(nil) {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newResuming(t, tt.backlog)
					ctx, cancel := context.WithCancel(t.Context())
					done := follow(ctx, versions(r.client)[name])
					time.Sleep(time.Second)
					r.publish(1, 0, 5)
					r.outage(tt.away, tt.during...)
					r.publish(7, 4)
					sent := snapshots.Load()
					cancel()
					got := <-done
					want := 17
					for _, n := range tt.during {
						want += n
					}
					if got.sum != want || !slices.Equal(got.events, tt.want) {
						t.Errorf("sum %d, want %d; told %q, want %q", got.sum, want, got.events, tt.want)
					}
					if strings.HasPrefix(name, "version 2") && sent != tt.states {
						t.Errorf("%d states were sent, want %d", sent, tt.states)
					}
				})
			})
		}
	}
}

func TestAStateIsResumedOutageAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		ctx, cancel := context.WithCancel(t.Context())
		done := follow(ctx, sumsV1.Client(r.client))
		time.Sleep(time.Second)
		want := slices.Clone(opened)
		for range 5 {
			r.outage(100*time.Millisecond, 1, 2, 3)
			want = append(want, "Lost", "Attempting", "Resumed")
		}
		cancel()
		if got := <-done; got.sum != 30 || !slices.Equal(got.events, want) {
			t.Errorf("sum %d, told %q", got.sum, got.events)
		}
	})
}

func TestAResponderThatWasRestartedIsAskedForAFreshState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		ctx, cancel := context.WithCancel(t.Context())
		done := follow(ctx, sumsV1.Client(r.client))
		time.Sleep(time.Second)
		r.publish(1, 2, 3)
		old := r.srv
		r.far.Freeze(true) // killed
		r.serve(t, 10)
		r.publish(10, 20, 30) // as many updates, of another epoch
		time.Sleep(20 * time.Second)
		r.publish(40)
		cancel()
		got := <-done
		if got.sum != 100 || got.count("Snapshot") != 2 || got.count("Resumed") != 0 {
			t.Errorf("sum %d, told %q", got.sum, got.events)
		}
		if err := old.Close(); err != nil {
			t.Error(err)
		}
	})
}

// harmedResume lets a state be interrupted, harms message n from the reconnect
// on, and returns what the state was told and whether there was such a message.
func harmedResume(t *testing.T, n int64, op operation) (got *replica, reached bool) {
	synctest.Test(t, func(t *testing.T) {
		r := newResuming(t, 10)
		ctx, cancel := context.WithCancel(t.Context())
		done := follow(ctx, sumsV1.Client(r.client))
		elapse(time.Second)
		r.publish(1, 0, 5)
		r.near.Freeze(true)
		r.publish(3, 0, 8)
		r.near.Disconnect()
		r.near.Freeze(false)
		end := tamper(r.net, n, op)
		r.near.Reconnect()
		elapse(time.Second)
		r.publish(7, 4)
		elapse(30 * time.Second)
		reached = end()
		r.publish(2)
		cancel()
		got = <-done
	})
	return got, reached
}

func TestNoMessageThatIsHarmedHarmsAStateThatResumes(t *testing.T) {
	const sum = 30
	for _, op := range []operation{dropped, repeated, swapped} {
		resumed, reached := 0, true
		for n := int64(1); reached && n <= 40; n++ {
			var got *replica
			got, reached = harmedResume(t, n, op)
			if got.sum != sum || got.count("Connected without a Snapshot behind it") > 0 {
				t.Errorf("message %d %s: the sum is %d, want %d; told %q", n, op, got.sum, sum, got.events)
			}
			resumed += got.count("Resumed")
		}
		if resumed == 0 {
			t.Errorf("%s: no state was resumed", op)
		}
	}
}
