// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/bench/benchpb"
	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

// workRPC may be carried out twice, so that a caller who hears nothing asks again.
var workRPC = unaryrpc.RPC[value, value]{Name: "bench.work", Version: 1, Idempotent: true}

// serveOffer answers after l.Work; l.Slots calls at a time are worked on, the
// others that the service admits wait for their turn. Work of the processor is
// done by the processor, as many calls at a time as come.
func serveOffer(_ system, at place, l load) (end, error) {
	slots := make(chan struct{}, l.Slots)
	work := func(ctx context.Context, v value) (value, error) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-slots }()
		time.Sleep(l.Work)
		return v, nil
	}
	if l.Slots == 0 {
		work = func(_ context.Context, v value) (value, error) {
			for began := time.Now(); time.Since(began) < l.Work; {
			}
			return v, nil
		}
	}
	nc, err := connect(at)
	if err != nil {
		return end{}, err
	}
	_, err = bus.Serve(nc, bus.Service{Limit: l.Limit}, workRPC.Handler(work))
	return end{at: at}, err
}

// dialOffer calls what serveOffer serves, at a rate or, without one, by l.Callers.
func dialOffer(_ system, at place, _ load) (end, error) {
	c, err := dialBus(at)
	if err != nil {
		return end{}, err
	}
	call := workRPC.Client(c)
	return end{run: func(ctx context.Context, l load) (sample, error) {
		before := c.Snapshot().Counters.Retried
		query := &benchpb.Value{Data: make([]byte, l.Size)}
		s, err := offered(ctx, l, func(ctx context.Context) error {
			_, err := call(ctx, query)
			return err
		})
		s.Retried = float64(c.Snapshot().Counters.Retried - before)
		return s, err
	}}, nil
}

// An offering is calls that are made and what becomes of them. What happens in
// its first fifth is not counted.
type offering struct {
	load
	call        func(context.Context) error
	warm, until time.Time

	made           atomic.Int64 // calls
	tries          atomic.Int64 // of them, by a caller that is told to try again
	answers        atomic.Int64 // that came between warm and until
	answered, busy histogram    // from when the call should have been made
	failed         atomic.Int64
	why            atomic.Pointer[error] // the first that failed
	calls          sync.WaitGroup
}

// overdue is how long a call may take: less than the parent waits for all.
const overdue = 20 * time.Second

// offered makes l.Rate calls a second at times that chance sets and no answer
// changes: a caller that waited for answers would offer no more than is carried,
// and count no call that it did not come to make. Without a rate l.Callers call,
// each when its last call has ended.
func offered(ctx context.Context, l load, call func(context.Context) error) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Span+overdue)
	defer cancel()
	now := time.Now()
	o := &offering{load: l, call: call, warm: now.Add(l.Span / 5), until: now.Add(l.Span)}
	if l.Rate > 0 {
		o.open(ctx, now)
	} else {
		o.closed(ctx)
	}
	o.calls.Wait()
	return o.sample()
}

func (o *offering) open(ctx context.Context, began time.Time) {
	gap := float64(time.Second) / o.Rate
	for before := began; ; {
		due := before.Add(time.Duration(rand.ExpFloat64() * gap))
		if due.After(o.until) {
			return
		}
		if d := time.Until(due); d > 0 {
			pause(d)
		}
		o.calls.Go(func() { o.one(ctx, due) })
		before = due
	}
}

func (o *offering) closed(ctx context.Context) {
	for range o.Callers {
		o.calls.Go(func() {
			for now := time.Now(); now.Before(o.until); now = time.Now() {
				o.one(ctx, now)
			}
		})
	}
}

// one makes a call that is due, and as often as o.Again makes it again at once if
// it is refused as busy.
func (o *offering) one(ctx context.Context, due time.Time) {
	tries, err := 1, o.call(ctx)
	for errors.Is(err, bus.Busy) && tries <= o.Again {
		tries++
		err = o.call(ctx)
	}
	now := time.Now()
	if err == nil && now.After(o.warm) && !now.After(o.until) {
		o.answers.Add(1)
	}
	if due.Before(o.warm) {
		return
	}
	o.made.Add(1)
	o.tries.Add(int64(tries))
	switch took := now.Sub(due); {
	case err == nil:
		o.answered.add(took)
	case errors.Is(err, bus.Busy):
		o.busy.add(took)
	default:
		o.failed.Add(1)
		o.why.CompareAndSwap(nil, &err)
	}
}

func (o *offering) sample() (sample, error) {
	s := sample{
		N: float64(o.answers.Load()), Elapsed: o.until.Sub(o.warm),
		P50: o.answered.quantile(0.5), P99: o.answered.quantile(0.99),
		Made: float64(o.made.Load()), Tries: float64(o.tries.Load()), Failed: float64(o.failed.Load()),
		Busy: float64(o.busy.all.Load()), BusyP99: o.busy.quantile(0.99),
	}
	if why := o.why.Load(); why != nil {
		s.Why = (*why).Error()
	}
	return s, nil
}
