// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/durabus/durabus/bench/benchpb"
)

func serveStream(s system, at place, _ load) (end, error) {
	at, err := s.(streamSystem).serveStream(at)
	return end{at: at}, err
}

func dialStream(s system, at place, l load) (end, error) {
	call, err := s.(streamSystem).dialStream(at, l.Conns)
	return end{run: func(ctx context.Context, l load) (sample, error) { return readStreams(ctx, call, l) }}, err
}

// readStreams reads l.Count values, divided among streams that are open at the
// same time.
func readStreams(ctx context.Context, call streamCall, l load) (sample, error) {
	streams := max(l.Streams, 1)
	each := max(l.Count/streams, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, streams)
	began := time.Now()
	for range streams {
		go func() {
			n := 0
			err := call(ctx, &benchpb.Ask{Count: int64(each), Size: int32(l.Size)}, func(data []byte) {
				if len(data) == l.Size {
					n++
				}
			})
			if err == nil && n != each {
				err = fmt.Errorf("%d values of %d arrived whole", n, each)
			}
			failed <- err
		}()
	}
	var errs []error
	for range streams {
		if err := <-failed; err != nil {
			errs = append(errs, err)
			cancel()
		}
	}
	if len(errs) > 0 {
		return sample{}, fmt.Errorf("%d streams of %d failed, the first: %w", len(errs), streams, errs[0])
	}
	return sample{N: float64(each * streams), Elapsed: time.Since(began)}, nil
}

func dialSparse(s system, at place, l load) (end, error) {
	call, err := s.(streamSystem).dialStream(at, l.Conns)
	return end{run: func(ctx context.Context, l load) (sample, error) { return readSparse(ctx, call, l) }}, err
}

// readSparse takes the time from the making of each value to its arrival. The
// two processes have one clock.
func readSparse(ctx context.Context, call streamCall, l load) (sample, error) {
	var took []time.Duration
	ask := &benchpb.Ask{Count: int64(l.Count), Size: int32(l.Size), GapUs: l.Gap.Microseconds()}
	began := time.Now()
	err := call(ctx, ask, func(data []byte) { took = append(took, time.Duration(time.Now().UnixNano()-stampOf(data))) })
	if err == nil && len(took) == 0 {
		err = errors.New("no value arrived")
	}
	s := sample{N: float64(len(took)), Elapsed: time.Since(began)}
	s.P50, s.P99 = quantiles(took)
	return s, err
}

// values makes what is asked for. They are one value, which is written to again
// before each if there is time between them.
func values(ctx context.Context, ask *benchpb.Ask) iter.Seq[*benchpb.Value] {
	v := &benchpb.Value{Data: make([]byte, ask.Size)}
	return func(yield func(*benchpb.Value) bool) {
		if ask.GapUs > 0 {
			spaced(ctx, ask, v, yield)
			return
		}
		for range ask.Count {
			if !yield(v) {
				return
			}
		}
	}
}

func spaced(ctx context.Context, ask *benchpb.Ask, v *benchpb.Value, yield func(*benchpb.Value) bool) {
	tick := time.NewTicker(time.Duration(ask.GapUs) * time.Microsecond)
	defer tick.Stop()
	for range ask.Count {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		stamp(v.Data)
		if !yield(v) {
			return
		}
	}
}

// stamp writes the time into data, which has 8 bytes and more.
func stamp(data []byte) { binary.LittleEndian.PutUint64(data, uint64(time.Now().UnixNano())) }

func stampOf(data []byte) int64 { return int64(binary.LittleEndian.Uint64(data)) }
