// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/durabus/durabus/bench/benchpb"
)

func serveUnary(s system, at place, _ load) (end, error) {
	at, err := s.(unarySystem).serveUnary(at)
	return end{at: at}, err
}

func dialUnary(s system, at place, _ load) (end, error) {
	call, err := s.(unarySystem).dialUnary(at)
	return end{run: func(ctx context.Context, l load) (sample, error) { return callFor(ctx, call, l) }}, err
}

// callFor has callers call for a while, each when its last call is answered.
func callFor(ctx context.Context, call unaryCall, l load) (sample, error) {
	type outcome struct {
		took []time.Duration
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, l.Callers)
	began := time.Now()
	until := began.Add(l.Span)
	for range l.Callers {
		go func() {
			var o outcome
			query := &benchpb.Value{Data: make([]byte, l.Size)}
			for now := time.Now(); o.err == nil && now.Before(until); {
				var answer *benchpb.Value
				if answer, o.err = call(ctx, query); o.err == nil && len(answer.Data) != l.Size {
					o.err = fmt.Errorf("an answer of %d bytes to %d", len(answer.Data), l.Size)
				}
				after := time.Now()
				o.took = append(o.took, after.Sub(now))
				now = after
			}
			outcomes <- o
		}()
	}
	var took []time.Duration
	var err error
	for range l.Callers {
		o := <-outcomes
		took = append(took, o.took...)
		if o.err != nil {
			err = o.err
			cancel()
		}
	}
	s := sample{N: float64(len(took)), Elapsed: time.Since(began)}
	s.P50, s.P99 = quantiles(took)
	return s, err
}

// quantiles sorts took and returns its median and its 99th percentile.
func quantiles(took []time.Duration) (p50, p99 time.Duration) {
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}
