// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// What is under way when the connection breaks.
const (
	outagePipes  = 100
	outageStates = 100
	outageCalls  = 50
)

// A beat is an update that follows the one before it by one.
type beat struct {
	N     int
	After bool // made after the fault was over
}

var (
	beatsRPC = piperpc.RPC[int, beat]{Name: "outage.beats", Version: 1}
	clockRPC = staterpc.RPC[int, int, beat]{Name: "outage.clock", Version: 1}
	jobRPC   = unaryrpc.RPC[int, int]{Name: "outage.job", Version: 1}
)

// An outage is a caller and a responder, each behind a proxy of its own, with
// streams and calls between them.
type outage struct {
	t                 *testing.T
	near, far         *broker.Proxy
	nearConn, farConn *nats.Conn
	client            *bus.Client

	after atomic.Bool   // the fault is over
	made  atomic.Int64  // updates, of all streams
	done  chan struct{} // jobs may end
	began chan int      // the numbers of jobs, as their handlers start

	streams sync.WaitGroup
	mu      sync.Mutex
	fates   map[string]int // how many streams ended how
}

// newOutage connects a caller and a responder to two brokers, which may be one.
func newOutage(t *testing.T, near, far testBroker) *outage {
	o := &outage{
		t: t, near: broker.RunProxy(t, near.URL()), far: broker.RunProxy(t, far.URL()),
		done: make(chan struct{}), began: make(chan int, 10*outageCalls), fates: map[string]int{},
	}
	o.nearConn, o.farConn = connect(t, o.near.URL()), connect(t, o.far.URL())
	srv, err := bus.Serve(o.farConn, bus.Service{Name: "outage"},
		beatsRPC.Handler(func(ctx context.Context, _ int) (iter.Seq2[beat, error], error) { return o.beats(ctx, 1), nil }),
		clockRPC.Handler(func(ctx context.Context, n int) (int, iter.Seq2[beat, error], error) {
			return n, o.beats(ctx, n+1), nil
		}),
		jobRPC.Handler(o.job))
	if err != nil {
		t.Fatal(err)
	}
	o.client = bus.NewClient(o.nearConn, bus.ClientOptions{})
	t.Cleanup(func() {
		if err := errors.Join(o.client.Close(), srv.Close()); err != nil {
			t.Error(err)
		}
	})
	o.reach()
	return o
}

// reach returns when the caller reaches the responder, through a cluster
// perhaps.
func (o *outage) reach() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, err := jobRPC.Client(o.client)(ctx, -1)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			o.t.Fatalf("the caller does not reach the responder: %v", err)
		}
	}
}

func (o *outage) beats(ctx context.Context, n int) iter.Seq2[beat, error] {
	return func(yield func(beat, error) bool) {
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for ; yield(beat{n, o.after.Load()}, nil); n++ {
			o.made.Add(1)
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// makesMore returns when each stream has made several more updates.
func (o *outage) makesMore() {
	o.t.Helper()
	enough := o.made.Load() + 3*(outagePipes+outageStates)
	eventually(o.t, "updates that are made", func() bool { return o.made.Load() >= enough })
}

// job notes its number and answers when jobs may end; -1 at once.
func (o *outage) job(ctx context.Context, n int) (int, error) {
	if n < 0 {
		return n, nil
	}
	o.began <- n
	select {
	case <-o.done:
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// openStreams opens all streams and returns when each has its first update.
// Each is read until it ends or goes on after the fault.
func (o *outage) openStreams() {
	o.t.Helper()
	open := make(chan struct{}, outagePipes+outageStates)
	for i := range outagePipes + outageStates {
		o.streams.Go(func() {
			ctx, cancel := context.WithCancel(o.t.Context())
			defer cancel()
			var n int
			var updates iter.Seq2[beat, error]
			var err error
			if i < outagePipes {
				updates, err = beatsRPC.Client(o.client)(ctx, 0)
			} else {
				n, updates, err = clockRPC.Client(o.client)(ctx, 1000*i)
			}
			if err != nil {
				o.t.Errorf("stream %d was not opened: %v", i, err)
				open <- struct{}{}
				return
			}
			o.fate(i, n, updates, open)
		})
	}
	await(o.t, open, outagePipes+outageStates, "open streams")
}

// fate reads a stream whose last number was n and notes how it fared.
func (o *outage) fate(i, n int, updates iter.Seq2[beat, error], open chan<- struct{}) {
	first := true
	fate := "ended as if it were whole"
	for u, err := range updates {
		if err != nil {
			if fate = "no code"; !errors.Is(err, bus.Lost) {
				o.t.Errorf("stream %d ended with %v", i, err)
			}
			if e, ok := errors.AsType[*bus.Error](err); ok {
				fate = string(e.Code)
			}
			break
		}
		if u.N != n+1 {
			o.t.Errorf("stream %d: a silent gap, %d after %d", i, u.N, n)
		}
		n = u.N
		if first {
			first = false
			open <- struct{}{}
		}
		if u.After {
			fate = "continues"
			break
		}
	}
	if fate == "ended as if it were whole" {
		o.t.Errorf("stream %d %s", i, fate)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fates[fate]++
}

// A verdict is how a call ended.
type verdict struct {
	n   int
	err error
	at  time.Time
}

// call makes calls with the numbers from n on.
func (o *outage) call(n int) <-chan verdict {
	ends := make(chan verdict, outageCalls)
	for i := range outageCalls {
		o.streams.Go(func() {
			_, err := jobRPC.Client(o.client)(o.t.Context(), n+i)
			ends <- verdict{n + i, err, time.Now()}
		})
	}
	return ends
}

// ended returns how calls ended, once they all have.
func (o *outage) ended(ends <-chan verdict) (all []verdict) {
	o.t.Helper()
	deadline := time.After(20 * time.Second)
	for range outageCalls {
		select {
		case v := <-ends:
			all = append(all, v)
		case <-deadline:
			o.t.Fatalf("%d of %d calls have ended", len(all), outageCalls)
		}
	}
	return all
}

// underWay opens the streams and makes calls, and returns when their handlers
// run.
func (o *outage) underWay() <-chan verdict {
	o.t.Helper()
	o.openStreams()
	calls := o.call(0)
	started := make([]int, 0, outageCalls)
	deadline := time.After(20 * time.Second)
	for range outageCalls {
		select {
		case n := <-o.began:
			started = append(started, n)
		case <-deadline:
			o.t.Fatalf("only the jobs %v have started", started)
		}
	}
	return calls
}

// over ends the fault and checks what has become of everything.
func (o *outage) over() {
	o.t.Helper()
	o.reach()
	o.after.Store(true)
	close(o.done)
	o.streams.Wait()
	o.reach() // behind all that might still start
	for len(o.began) > 0 {
		o.t.Errorf("job %d was started though it was not sent, or twice", <-o.began)
	}
	if n := o.fates["continues"] + o.fates[string(bus.Lost)]; n != outagePipes+outageStates {
		o.t.Errorf("%d streams continue or are lost, of %d", n, outagePipes+outageStates)
	}
	o.t.Logf("streams: %v", o.fates)
}

// refused makes calls that cannot be sent: they fail at once and never run.
func (o *outage) refused() {
	o.t.Helper()
	start := time.Now()
	for _, v := range o.ended(o.call(1000)) {
		e, ok := errors.AsType[*bus.Error](v.err)
		if !ok || e.Code != bus.Disconnected || e.MayHaveRun || e.Again == nil {
			o.t.Errorf("a call without a connection: %v", v.err)
		}
	}
	o.t.Logf("calls without a connection refused within %v", time.Since(start))
}

// disconnected checks that calls under way ended as the connection reported its
// end.
func (o *outage) disconnected(calls <-chan verdict, reported time.Time) {
	o.t.Helper()
	var last time.Time
	for _, v := range o.ended(calls) {
		e, ok := errors.AsType[*bus.Error](v.err)
		if !ok || e.Code != bus.Disconnected || !e.MayHaveRun || e.Again == nil {
			o.t.Errorf("call %d under way ended with %v", v.n, v.err)
		}
		if v.at.After(last) {
			last = v.at
		}
	}
	if took := last.Sub(reported); took > time.Second {
		o.t.Errorf("the last call ended %v after the fault", took)
	} else {
		o.t.Logf("calls ended within %v", took)
	}
}

// distinct checks that calls which the caller's own connection did not fail
// were answered or ended with a code that says why not.
func (o *outage) distinct(calls <-chan verdict) {
	o.t.Helper()
	counts := map[string]int{}
	for _, v := range o.ended(calls) {
		e, ok := errors.AsType[*bus.Error](v.err)
		switch {
		case v.err == nil:
			counts["answered"]++
		case ok && slices.Contains([]bus.Code{bus.Gone, bus.NoAnswer}, e.Code) && e.MayHaveRun:
			counts[string(e.Code)]++
		default:
			o.t.Errorf("call %d ended with %v", v.n, v.err)
		}
	}
	o.t.Logf("calls: %v", counts)
}
