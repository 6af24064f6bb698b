// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

var (
	feedRPC = piperpc.RPC[int, []byte]{Name: "hole.feed", Version: 1}
	echoRPC = unaryrpc.RPC[int, int]{Name: "hole.echo", Version: 1}
)

// A feederSpec is what the publisher of a feed is told.
type feederSpec struct {
	URL        string
	Apart      bool // the feed has a connection of its own
	Rate, Size int
}

// link connects, for calls and for feeds.
func link(url string, apart bool) (calls, feeds *nats.Conn, closing func(), err error) {
	if calls, err = bus.Connect(url); err != nil || !apart {
		return calls, nil, func() { calls.Close() }, err
	}
	if feeds, err = bus.Connect(url); err != nil {
		calls.Close()
		return nil, nil, nil, err
	}
	return calls, feeds, func() { feeds.Close(); calls.Close() }, nil
}

// beFeeder publishes to a feed at a rate, as far as the broker takes it, and answers
// calls beside it.
func beFeeder(text []byte) error {
	spec, err := decode[feederSpec](text)
	if err != nil {
		return err
	}
	nc, feeds, closing, err := link(spec.URL, spec.Apart)
	if err != nil {
		return err
	}
	defer closing()
	srv, err := bus.Serve(nc, bus.Service{Name: "feeder", Feeds: feeds},
		feedRPC.Handler(spec.feed).Shared(),
		echoRPC.Handler(func(_ context.Context, n int) (int, error) { return n, nil }))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-untilInputEnds()
	return srv.Close()
}

func (spec feederSpec) feed(ctx context.Context, _ int) (iter.Seq2[[]byte, error], error) {
	return func(yield func([]byte, error) bool) {
		b := make([]byte, spec.Size)
		for last := time.Now(); ; {
			if pause(ctx, 10*time.Millisecond) != nil {
				return
			}
			now := time.Now()
			due := min(now.Sub(last), time.Second) // what was missed is not made up for
			last = now
			for range int(due.Seconds()*float64(spec.Rate) + 0.5) {
				if !yield(b, nil) {
					return
				}
			}
		}
	}, nil
}

// A watcherSpec is what a process of watchers is told.
type watcherSpec struct {
	Name, URL       string
	Apart           bool
	Conns, Watchers int // connections, and watchers of each
	Calls           bool
}

// A second is what a process of watchers had in about that time.
type second struct {
	Name         string
	At           time.Time
	Span         time.Duration
	Updates      int64 // of all watchers
	Least        int64 // of any
	Lost         int64 // streams, so far
	Calls        int
	P50, Longest time.Duration
}

// An audience is the watchers of one process.
type audience struct {
	spec watcherSpec
	had  []atomic.Int64 // updates, of each watcher
	lost atomic.Int64

	mu   sync.Mutex
	took []time.Duration // calls
}

func beWatcher(text []byte) error {
	spec, err := decode[watcherSpec](text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // as long as the process lives
		<-untilInputEnds()
		cancel()
	}()
	a := &audience{spec: spec, had: make([]atomic.Int64, spec.Conns*spec.Watchers)}
	var work sync.WaitGroup
	for i := range spec.Conns {
		nc, feeds, closing, err := link(spec.URL, spec.Apart)
		if err != nil {
			return err
		}
		defer closing()
		c := bus.NewClient(nc, bus.ClientOptions{Feeds: feeds})
		defer func() { _ = c.Close() }() // the process ends
		for n := range spec.Watchers {
			work.Go(func() { a.watch(ctx, c, &a.had[i*spec.Watchers+n]) })
		}
		if spec.Calls && i == 0 {
			work.Go(func() { a.call(ctx, c) })
		}
	}
	fmt.Println("ready")
	work.Go(func() { a.tell(ctx) })
	work.Wait()
	return nil
}

// watch counts updates, and opens again where it lost its stream.
func (a *audience) watch(ctx context.Context, c bus.Caller, had *atomic.Int64) {
	for pause(ctx, 10*time.Millisecond) == nil {
		updates, err := feedRPC.Client(c)(ctx, 0)
		if err == nil {
			for _, err = range updates {
				if err == nil {
					had.Add(1)
				}
			}
		}
		if ctx.Err() == nil {
			a.lost.Add(1)
		}
	}
}

// call makes one call after another.
func (a *audience) call(ctx context.Context, c bus.Caller) {
	for n := 0; pause(ctx, time.Millisecond) == nil; n++ {
		begin := time.Now()
		if _, err := echoRPC.Client(c)(ctx, n); err != nil {
			continue
		}
		a.mu.Lock()
		a.took = append(a.took, time.Since(begin))
		a.mu.Unlock()
	}
}

// tell says what each second had.
func (a *audience) tell(ctx context.Context) {
	before := make([]int64, len(a.had))
	for from := time.Now(); pause(ctx, time.Second) == nil; {
		s := second{Name: a.spec.Name, At: time.Now(), Least: 1 << 62, Lost: a.lost.Load()}
		s.Span, from = s.At.Sub(from), s.At
		for i := range a.had {
			n := a.had[i].Load()
			s.Updates, s.Least = s.Updates+n-before[i], min(s.Least, n-before[i])
			before[i] = n
		}
		a.mu.Lock()
		took := a.took
		a.took = nil
		a.mu.Unlock()
		if s.Calls = len(took); s.Calls > 0 {
			slices.Sort(took)
			s.P50, s.Longest = took[len(took)/2], took[len(took)-1]
		}
		if json.NewEncoder(os.Stdout).Encode(s) != nil {
			return
		}
	}
}
