// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/bench/benchpb"
	"github.com/durabus/durabus/bus"
)

// serveHeld serves calls, streams with a value every so often that their callers
// say, or none, and a state that changes every l.Gap, which its watchers share.
func serveHeld(_ system, at place, l load) (end, error) {
	p := newPublisher(16)
	if l.Gap > 0 {
		go every(l.Gap, func() {
			v := &benchpb.Value{Data: make([]byte, 16)}
			stamp(v.Data)
			p.Publish(v)
		})
	}
	return end{at: at}, serveHandlers(at,
		echoRPC.Handler(func(_ context.Context, v value) (value, error) { return v, nil }),
		feedRPC.Handler(func(ctx context.Context, _ *benchpb.Ask) (value, iter.Seq2[value, error], error) { return p.Watch(ctx) }).Shared(),
		pipeRPC.Handler(func(ctx context.Context, ask *benchpb.Ask) (iter.Seq2[value, error], error) {
			if ask.GapUs == 0 {
				return silence(ctx, ask)
			}
			return func(yield func(value, error) bool) {
				for v := range values(ctx, ask) {
					if !yield(v, nil) {
						return
					}
				}
			}, nil
		}))
}

// A holder opens more and more streams, each of which it reads, and keeps them.
type holder struct {
	clients []*bus.Client
	open    func(context.Context, *bus.Client) (iter.Seq2[value, error], error)
	held    int
	came    atomic.Pointer[histogram] // from the making of each value to its arrival
	lost    atomic.Pointer[error]
}

// dialHeld opens streams with a value every l.Gap.
func dialHeld(_ system, at place, l load) (end, error) {
	ask := &benchpb.Ask{Count: math.MaxInt64, Size: 16, GapUs: l.Gap.Microseconds()}
	return hold(at, l, func(ctx context.Context, c *bus.Client) (iter.Seq2[value, error], error) {
		return pipeRPC.Client(c)(ctx, ask)
	})
}

// dialWatched watches the state.
func dialWatched(_ system, at place, l load) (end, error) {
	return hold(at, l, func(ctx context.Context, c *bus.Client) (iter.Seq2[value, error], error) {
		_, updates, err := feedRPC.Client(c)(ctx, &benchpb.Ask{})
		return updates, err
	})
}

func hold(at place, l load, open func(context.Context, *bus.Client) (iter.Seq2[value, error], error)) (end, error) {
	clients, err := dialAll(l.Conns, func() (*bus.Client, error) { return dialBus(at) })
	h := &holder{clients: clients, open: open}
	h.came.Store(new(histogram))
	return end{run: h.run}, err
}

// openings is how many streams are asked for at a time.
const openings = 64

// run opens streams until there are l.Streams; then it notes for l.Span how long
// values take to arrive or, if l.Rate is not 0, calls to be answered beside them.
func (h *holder) run(ctx context.Context, l load) (sample, error) {
	began := time.Now()
	if err := h.grow(ctx, l.Streams); err != nil {
		return sample{}, err
	}
	s := sample{Elapsed: time.Since(began)}
	var err error
	switch {
	case l.Span == 0:
	case l.Rate > 0:
		call := echoRPC.Client(h.clients[0])
		query := &benchpb.Value{Data: make([]byte, 16)}
		s, err = offered(ctx, l, func(ctx context.Context) error {
			_, err := call(ctx, query)
			return err
		})
	default:
		now := new(histogram)
		h.came.Store(now)
		select {
		case <-time.After(l.Span):
		case <-ctx.Done():
			return s, ctx.Err()
		}
		s = sample{N: float64(now.all.Load()), Elapsed: l.Span, P50: now.quantile(0.5), P99: now.quantile(0.99)}
	}
	if lost := h.lost.Load(); lost != nil {
		err = errors.Join(err, fmt.Errorf("a stream was lost: %w", *lost))
	}
	return s, err
}

func (h *holder) grow(ctx context.Context, streams int) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	more := int64(streams - h.held)
	for range openings {
		all.Go(func() {
			for i := next.Add(1); i <= more && failed.Load() == nil && ctx.Err() == nil; i = next.Add(1) {
				updates, err := h.open(context.Background(), h.clients[int(i)%len(h.clients)])
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				go h.read(updates)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return fmt.Errorf("of %d more streams one did not open: %w", more, *err)
	}
	h.held = max(h.held, streams)
	return ctx.Err()
}

// read reads a stream as long as the process lives.
func (h *holder) read(updates iter.Seq2[value, error]) {
	for v, err := range updates {
		if err != nil {
			h.lost.CompareAndSwap(nil, &err)
			return
		}
		h.came.Load().add(time.Duration(time.Now().UnixNano() - stampOf(v.Data)))
	}
}
