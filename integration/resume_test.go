// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/staterpc"
)

const resumeStates = 1000

// A tally is a state and an update: its number, so that none can be missed or
// repeated unseen, and that of who keeps it, so that none can be another's.
type tally struct{ Keeper, N int }

var tallyRPC = staterpc.RPC[int, tally, tally]{Name: "resume.tally", Version: 1}

// A keeper is a responder that keeps a backlog.
type keeper struct {
	number int
	nc     *nats.Conn
	srv    *bus.Server
	pub    *staterpc.Publisher[tally, tally]
}

func newKeeper(t *testing.T, url string, number, backlog int, options ...nats.Option) *keeper {
	t.Helper()
	k := &keeper{number: number, nc: connect(t, url, options...)}
	apply := func(_, now tally) tally { return now }
	k.pub = staterpc.NewPublisher(tally{Keeper: number}, apply, 10_000).Keep(staterpc.Backlog[tally]{Updates: backlog})
	var err error
	k.srv, err = bus.Serve(k.nc, bus.Service{Name: "resume"}, tallyRPC.Handler(
		func(ctx context.Context, _ int) (tally, iter.Seq2[tally, error], error) { return k.pub.Watch(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.srv.Close(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			t.Error(err)
		}
	})
	return k
}

// A follower is what one durable state was told.
type follower struct {
	mu sync.Mutex // guards the fields below
	tally
	instance   string
	snapshots  int
	resumed    int
	givenUp    []uint64 // calls whose attempt had no sign for a second
	disordered string
}

func (f *follower) on(ev durable.Event[tally, tally]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch ev.Kind {
	case durable.Connected:
		f.instance = ev.Info.Instance
	case durable.Snapshot:
		f.tally = ev.State
		f.snapshots++
	case durable.Resumed:
		f.resumed++
	case durable.FailedToConnect:
		if e, ok := errors.AsType[*bus.Error](ev.Err); ok && e.Code == bus.NoAnswer {
			f.givenUp = append(f.givenUp, callOf(e.CallID))
		}
	case durable.Update:
		if next := (tally{f.Keeper, f.N + 1}); ev.Err != nil || ev.Update != next {
			f.disordered = fmt.Sprintf("%v (%v) came after %v", ev.Update, ev.Err, f.tally)
		}
		f.tally = ev.Update
	}
}

// callOf returns the number of a call on the wire.
func callOf(id string) uint64 {
	n, _ := strconv.ParseUint(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	return n
}

func (f *follower) at() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.N
}

// A resumption is keepers, who publish the same, and who follows them.
type resumption struct {
	t         *testing.T
	tap       *snapshotTap // on the keepers' connections
	keepers   []*keeper
	followers []*follower
	published int
}

func newResumption(t *testing.T, url string, client *bus.Client, keepers, backlog int, options ...nats.Option) *resumption {
	t.Helper()
	r := &resumption{t: t, tap: newSnapshotTap(t, url)}
	for n := range keepers {
		r.keepers = append(r.keepers, newKeeper(t, r.tap.URL(), n, backlog, options...))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	for range resumeStates {
		f := new(follower)
		r.followers = append(r.followers, f)
		following.Go(func() {
			for ev := range durable.State(ctx, tallyRPC.Client(client), 0, durable.Policy{Resume: true}) {
				f.on(ev)
			}
		})
	}
	t.Cleanup(following.Wait)
	t.Cleanup(cancel)
	r.publish(1)
	r.current()
	r.tap.forget()
	return r
}

// publish has every keeper publish n updates.
func (r *resumption) publish(n int) {
	for range n {
		r.published++
		for _, k := range r.keepers {
			k.pub.Publish(tally{k.number, r.published})
		}
	}
}

// current returns when all followers have what was published.
func (r *resumption) current() {
	r.t.Helper()
	for i, f := range r.followers {
		if !r.eventually(func() bool { return f.at() == r.published }) {
			r.t.Fatalf("state %d is at %d of %d", i, f.at(), r.published)
		}
	}
}

// eventually reports whether what is so within a time that is long enough.
func (r *resumption) eventually(what func() bool) bool {
	for end := time.Now().Add(2 * time.Minute); !what(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// publishFor publishes for a while.
func (r *resumption) publishFor(d time.Duration) {
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(d); ; {
		select {
		case <-tick.C:
			r.publish(1)
		case <-end:
			return
		}
	}
}

// judge compares what each follower was told with what it should have been, and
// what was sent with that: as many states, each for another call. A machine may
// be so slow that an attempt has no sign for a second, and is made again; the
// state that comes to it then is told to nobody.
func (r *resumption) judge(wantSnapshots func(*follower) int) {
	r.t.Helper()
	fresh, goOn := r.tap.firsts()
	want, resumed, late := 0, 0, 0
	for i, f := range r.followers {
		if f.disordered != "" {
			r.t.Errorf("state %d: %s", i, f.disordered)
		}
		if n := wantSnapshots(f); f.snapshots != n {
			r.t.Errorf("state %d had %d snapshots, want %d", i, f.snapshots, n)
		}
		want += wantSnapshots(f) - 1
		resumed += f.resumed
		for _, call := range f.givenUp {
			late += fresh[call]
			delete(fresh, call)
		}
	}
	sent := 0
	for _, n := range fresh {
		sent += n
	}
	if sent != want || len(fresh) != want {
		r.t.Errorf("%d snapshots were sent for %d calls, want %d", sent, len(fresh), want)
	}
	r.t.Logf("%d states: %d resumed, %d of them from the backlog; %d snapshots on the wire, and %d for calls that had been given up", len(r.followers), resumed, goOn, sent, late)
}

func once(*follower) int  { return 1 }
func twice(*follower) int { return 2 }

func TestAThousandStatesResumeAfterABrokersOutage(t *testing.T) {
	brk := broker.Run(t, broker.Options{})
	r := newResumption(t, brk.URL(), client(t, brk.URL()), 1, 1000)
	r.publishFor(100 * time.Millisecond)
	brk.Kill()
	r.publishFor(200 * time.Millisecond)
	restart(t, brk)
	r.publishFor(100 * time.Millisecond)
	r.current()
	r.judge(once)
}

// swallowed loses what is published in an outage of the caller's link.
func swallowed(t *testing.T, backlog int) *resumption {
	brk := broker.Run(t, broker.Options{})
	link := broker.RunProxy(t, brk.URL())
	r := newResumption(t, brk.URL(), client(t, link.URL()), 1, backlog)
	r.swallow(link)
	return r
}

// swallow loses updates of each state on link.
func (r *resumption) swallow(link *broker.Proxy) {
	r.t.Helper()
	link.Partition(broker.ToClient)
	r.tap.forget()
	r.publish(1)
	r.eventually(func() bool { return r.tap.calls() == resumeStates }) // each misses this one
	r.publish(2)                                                       // more than the least backlog, however slow the machine is
	r.publishFor(200 * time.Millisecond)
	link.Heal() // which resets the connection
	r.current()
}

func TestAThousandStatesResumeWithTheUpdatesThatAnOutageSwallowed(t *testing.T) {
	r := swallowed(t, 1000)
	r.judge(once)
	for i, f := range r.followers {
		if f.resumed != 1 {
			t.Errorf("state %d was resumed %d times", i, f.resumed)
		}
	}
}

func TestAThousandStatesAreEachFetchedOnceAfterAnOutageLongerThanTheBacklog(t *testing.T) {
	swallowed(t, 2).judge(twice)
}

func TestAThousandStatesAreEachFetchedOnceWhenTheirResponderIsReplaced(t *testing.T) {
	brk := broker.Run(t, broker.Options{})
	r := newResumption(t, brk.URL(), client(t, brk.URL()), 1, 1000)
	r.publishFor(50 * time.Millisecond)
	next := newKeeper(t, r.tap.URL(), 1, 1000)
	for n := range r.published { // as many updates, of another epoch
		next.pub.Publish(tally{1, n + 1})
	}
	r.keepers[0].nc.Close() // as if killed
	r.keepers[0] = next
	r.publishFor(200 * time.Millisecond)
	r.current()
	r.judge(twice)
}

func TestStatesWhoseInstanceSurvivesAnOutageResumeAndTheOthersMove(t *testing.T) {
	brk := broker.Run(t, broker.Options{})
	r := newResumption(t, brk.URL(), client(t, brk.URL()), 5, 1000)
	r.publishFor(50 * time.Millisecond)
	at := map[*follower]string{}
	for _, f := range r.followers {
		at[f] = f.instance
	}
	dead := r.keepers[0].srv.Instance()
	brk.Kill()
	r.keepers[0].nc.Close()
	r.keepers = r.keepers[1:]
	r.publishFor(200 * time.Millisecond)
	restart(t, brk)
	r.publishFor(100 * time.Millisecond)
	r.current()
	r.judge(func(f *follower) int {
		if at[f] == dead {
			return 2
		}
		return 1
	})
}
