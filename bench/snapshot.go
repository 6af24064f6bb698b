// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

// snapshotSize is what the benchmark calls a large state.
const snapshotSize = 64 << 20

func serveSnapshot(s system, at place, l load) (end, error) {
	at, err := s.(snapshotSystem).serveSnapshot(at, l.Size)
	return end{at: at}, err
}

func dialSnapshot(s system, at place, _ load) (end, error) {
	fetch, err := s.(snapshotSystem).dialSnapshot(at)
	return end{run: func(ctx context.Context, l load) (sample, error) { return fetchFor(ctx, fetch, l) }}, err
}

// fetchFor fetches the state again and again for a while, and counts MiB.
func fetchFor(ctx context.Context, fetch func(context.Context) ([]byte, error), l load) (sample, error) {
	began := time.Now()
	s := sample{}
	for s.N == 0 || time.Since(began) < l.Span {
		state, err := fetch(ctx)
		if err != nil {
			return s, err
		}
		if len(state) != l.Size {
			return s, fmt.Errorf("%d bytes of %d", len(state), l.Size)
		}
		s.N += float64(l.Size) / (1 << 20)
	}
	s.Elapsed = time.Since(began)
	return s, nil
}
