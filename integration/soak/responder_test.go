// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

// A responderSpec is what a responder is told.
type responderSpec struct{ URL string }

const (
	topics       = 10                     // of each responder's books
	entriesEvery = 500 * time.Millisecond // of each topic
)

// beResponder serves until it gets SIGTERM, and drains then.
func beResponder(text []byte) error {
	spec, err := decode[responderSpec](text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // as long as the process lives
		<-untilInputEnds()
		cancel()
	}()
	leave, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	nc, err := bus.Connect(spec.URL, nats.UserInfo("pricer", "pricer"), nats.DontRandomize())
	if err != nil {
		return err
	}
	defer nc.Close()
	r := &responder{}
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer cancel()
	source := rand.Uint64()
	for topic := range topics {
		p := newSource(book{Source: source, Topic: topic})
		r.sources = append(r.sources, p)
		publishing.Go(func() { p.run(ctx) })
	}
	srv, err := bus.Serve(nc, bus.Service{Name: "soak"},
		onceRPC.Handler(r.work), againRPC.Handler(r.work), trailRPC.Handler(walk),
		privateRPC.Handler(r.watch), sharedRPC.Handler(r.watch).Shared())
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-leave.Done()
	grace, end := context.WithTimeout(ctx, 10*time.Second)
	defer end()
	return errors.Join(srv.Drain(grace), srv.Close())
}

// A responder is what the handlers of one process have in common.
type responder struct{ sources []*source }

// work carries out a job. That it has started is told before anything else, in one
// write, so that the conductor has it whatever becomes of this process.
func (r *responder) work(ctx context.Context, j job) (receipt, error) {
	started := start{j.Caller, bus.IncomingCall(ctx).RPC.Version, j.N, time.Now().UnixNano(), j.Deadline}
	if _, err := os.Stdout.WriteString(started.line()); err != nil {
		return receipt{}, err
	}
	if err := pause(ctx, j.Work); err != nil {
		return receipt{}, err
	}
	return receipt{j.Caller, j.N, pad(j.N, j.Answer)}, nil
}

func (r *responder) watch(ctx context.Context, topic int) (book, iter.Seq2[entry, error], error) {
	return r.sources[topic].publisher.Watch(ctx)
}

// walk yields as fast as it is read.
func walk(_ context.Context, t trail) (iter.Seq2[step, error], error) {
	return func(yield func(step, error) bool) {
		for n := 0; n < t.Count && yield(t.step(n), nil); n++ {
			continue
		}
	}, nil
}

func (t trail) step(n int) step { return step{n, pad(t.ID<<20+uint64(n), t.Size)} }

// A source publishes one topic of one process.
type source struct {
	publisher *staterpc.Publisher[book, entry]
	now       book
}

func newSource(b book) *source {
	b.Value, b.At = right(b, 0), time.Now().UnixNano()
	return &source{now: b, publisher: staterpc.NewPublisher(b, apply, 1000).Keep(staterpc.Backlog[entry]{Updates: 1000})}
}

func (s *source) run(ctx context.Context) {
	_ = pause(ctx, rand.N(entriesEvery)) // topics take turns
	tick := time.NewTicker(entriesEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		e := entryAfter(s.now, time.Now())
		s.now = apply(s.now, e)
		s.publisher.Publish(e)
	}
}

// pause waits, for less if ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A start is a handler that began.
type start struct {
	caller, version int
	n               uint64
	at, deadline    int64 // in nanoseconds since 1970; no deadline is 0
}

func (s start) line() string {
	return fmt.Sprintln("started", s.caller, s.version, s.n, s.at, s.deadline)
}

func readStart(line string) (s start, err error) {
	_, err = fmt.Sscan(strings.TrimPrefix(line, "started "), &s.caller, &s.version, &s.n, &s.at, &s.deadline)
	return s, err
}
