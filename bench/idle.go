// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

func serveIdle(s system, at place, _ load) (end, error) {
	at, err := s.(idleSystem).serveIdle(at)
	return end{at: at}, err
}

func dialIdle(s system, at place, l load) (end, error) {
	open, err := s.(idleSystem).dialIdle(at, l.Conns)
	var kept []any
	return end{run: func(ctx context.Context, l load) (sample, error) {
		if kept == nil {
			kept = make([]any, 0, l.Streams)
		}
		return openStreams(ctx, open, &kept, l)
	}}, err
}

// openStreams opens l.Count streams and keeps them.
func openStreams(ctx context.Context, open func(int) (any, error), kept *[]any, l load) (sample, error) {
	began := time.Now()
	for i := range l.Count {
		if ctx.Err() != nil {
			return sample{}, ctx.Err()
		}
		stream, err := open(i % l.Conns)
		if err != nil {
			return sample{}, err
		}
		*kept = append(*kept, stream)
	}
	return sample{N: float64(l.Count), Elapsed: time.Since(began)}, nil
}
