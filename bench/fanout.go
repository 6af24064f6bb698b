// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durabus/durabus/bench/benchpb"
)

// The first byte of an update.
const (
	rehearsed = iota // sent until all watchers have one
	counted
)

// serveFanout publishes. What the watchers have is told over a connection beside
// the system, so that no system loses updates or needs memory without bound, and
// every one has as many on their way.
func serveFanout(s system, at place, l load) (end, error) {
	at, publish, err := s.(fanoutSystem).serveFanout(at)
	if err != nil {
		return end{}, err
	}
	pace, err := listen()
	if err != nil {
		return end{}, err
	}
	at.Pace = pace.Addr().String()
	p := &publication{listener: pace, publish: publish}
	return end{at: at, run: p.run}, nil
}

// A publication is the publisher's end of a fan-out.
type publication struct {
	listener net.Listener
	pace     net.Conn
	publish  func(*benchpb.Value)
}

// run publishes l.Count updates with at most l.Window of them on their way, and
// waits until all watchers have them all; with a count of 0 it rehearses until
// all watchers have an update.
func (p *publication) run(ctx context.Context, l load) (sample, error) {
	if p.pace == nil {
		var err error
		if p.pace, err = p.listener.Accept(); err != nil {
			return sample{}, err
		}
	}
	if l.Count == 0 {
		return sample{}, p.rehearse(ctx, l)
	}
	began := time.Now()
	for sent, received := 0, 0; received < l.Count; {
		for sent < l.Count && sent < received+l.Window {
			p.publish(update(counted, l.Size))
			sent++
		}
		var err error
		if received, err = p.received(ctx); err != nil {
			return sample{}, fmt.Errorf("after %d updates of %d: %w", received, l.Count, err)
		}
	}
	return sample{N: float64(l.Count), Elapsed: time.Since(began)}, nil
}

// update is made anew for each, since a publisher may keep it.
func update(kind byte, size int) *benchpb.Value {
	v := &benchpb.Value{Data: make([]byte, size)}
	v.Data[0] = kind
	return v
}

func (p *publication) received(ctx context.Context) (int, error) {
	deadline, _ := ctx.Deadline()
	if err := p.pace.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	var n [8]byte
	_, err := io.ReadFull(p.pace, n[:])
	return int(binary.LittleEndian.Uint64(n[:])), err
}

func (p *publication) rehearse(ctx context.Context, l load) error {
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
			p.publish(update(rehearsed, l.Size))
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
		}
	}()
	_, err := p.received(ctx)
	close(stop)
	<-stopped
	return err
}

// dialFanout starts l.Streams watchers over l.Conns connections.
func dialFanout(s system, at place, l load) (end, error) {
	watch, err := s.(fanoutSystem).dialFanout(at, l.Conns)
	if err != nil {
		return end{}, err
	}
	pace, err := net.Dial("tcp", at.Pace)
	if err != nil {
		return end{}, err
	}
	a := &audience{size: int64(l.Streams), pace: pace}
	a.phase.Store(&phase{steps: make([]atomic.Int64, 1), every: 1, kind: rehearsed})
	go a.watch(watch, l)
	if l.Hole {
		if err := dialHole(s.(fanoutSystem), at); err != nil {
			return end{}, err
		}
	}
	return end{run: a.run}, nil
}

// dialHole has one more watcher, on a connection of its own, that stops reading
// when it has the first update.
func dialHole(s fanoutSystem, at place) error {
	u, err := url.Parse(at.Broker)
	if err != nil {
		return err
	}
	pit, err := newTarpit(u.Host)
	if err != nil {
		return err
	}
	at.Broker = "nats://" + pit.listener.Addr().String()
	watch, err := s.dialFanout(at, 1)
	if err != nil {
		return err
	}
	go func() { // its end is what the others are not to feel
		_ = watch(context.Background(), 0, func([]byte) { pit.swallowing.Store(true) })
	}()
	return nil
}

// An audience is the watchers' end of a fan-out.
type audience struct {
	size   int64
	pace   net.Conn
	phase  atomic.Pointer[phase]
	failed atomic.Pointer[error]
}

// A phase counts the watchers that have come to each step of it.
type phase struct {
	kind  byte
	every int64          // updates to a step
	steps []atomic.Int64 // watchers that have taken it
	mu    sync.Mutex     // one tells at a time
}

// entering is how many watchers may be without an update yet: no system is asked
// for ten thousand streams at once.
const entering = 500

// watch starts all watchers.
func (a *audience) watch(watch watchCall, l load) {
	slots := make(chan struct{}, entering)
	for i := range l.Streams {
		slots <- struct{}{}
		go func() {
			if err := watch(context.Background(), i%l.Conns, a.watcher(func() { <-slots })); err != nil {
				a.failed.CompareAndSwap(nil, &err)
			}
		}()
	}
}

// watcher returns what one watcher does with updates, beginning with entered.
func (a *audience) watcher(entered func()) func([]byte) {
	var now *phase
	var n int64
	return func(data []byte) {
		if p := a.phase.Load(); p != now {
			if now == nil {
				entered()
			}
			now, n = p, 0
		}
		if data[0] != now.kind {
			return
		}
		if n++; n%now.every != 0 || n/now.every > int64(len(now.steps)) {
			return
		}
		if now.steps[n/now.every-1].Add(1) == a.size {
			a.tell(now, n)
		}
	}
}

// tell says that all watchers have n updates.
func (a *audience) tell(p *phase, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = a.pace.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) // the publisher misses it
}

// run expects l.Count updates, or reports what has failed if that is 0.
func (a *audience) run(_ context.Context, l load) (sample, error) {
	if l.Count > 0 {
		every := max(l.Window/8, 1)
		a.phase.Store(&phase{kind: counted, every: int64(every), steps: make([]atomic.Int64, l.Count/every)})
	}
	if err := a.failed.Load(); err != nil {
		return sample{}, fmt.Errorf("a watcher failed: %w", *err)
	}
	return sample{}, nil
}

// watchers pass updates on where a system has nothing for that: what one writes
// beside gRPC.
type watchers struct {
	mu  sync.Mutex
	all []chan *benchpb.Value
}

func (w *watchers) publish(v *benchpb.Value) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.all {
		c <- v
	}
}

func (w *watchers) watch(ctx context.Context, send func(*benchpb.Value) error) error {
	c := make(chan *benchpb.Value, 1024)
	w.mu.Lock()
	w.all = append(w.all, c)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = slices.DeleteFunc(w.all, func(other chan *benchpb.Value) bool { return other == c })
	}()
	for {
		select {
		case v := <-c:
			if err := send(v); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
