// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

const (
	shortTrail = 40
	longTrail  = 600 // steps: more than what may be on its way, so that most of its life it waits for its reader
	stepSize   = 1 << 10
	stepEvery  = 50 * time.Millisecond // a slow reader's pace
	stillness  = time.Second           // of a state, from which on it is a hole
)

// walkOn reads one pipe after another.
func (c *caller) walkOn(ctx context.Context, id uint64) {
	for n := uint64(0); ctx.Err() == nil; n++ {
		t := trail{ID: id + n, Count: shortTrail, Size: stepSize}
		if n%2 == 1 {
			t.Count = longTrail
		}
		updates, err := trailRPC.Client(c.client)(ctx, t)
		if err == nil {
			err = c.walk(ctx, t, updates)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		e, ok := errors.AsType[*bus.Error](err)
		if !ok {
			c.broken("a pipe ended with an error without a code: %v", err)
			return
		}
		c.say(report{Ended: &ending{e.Code, time.Now()}})
		_ = pause(ctx, 100*time.Millisecond+rand.N(400*time.Millisecond))
	}
}

// walk reads a pipe slowly: it is the whole sequence, or its beginning and an error.
func (c *caller) walk(ctx context.Context, t trail, updates iter.Seq2[step, error]) error {
	c.pipes.Add(1)
	defer c.pipes.Add(-1)
	n := 0
	for s, err := range updates {
		if err != nil {
			return err
		}
		if want := t.step(n); s.N != n || !bytes.Equal(s.Data, want.Data) {
			c.broken("pipe %x: step %d came for step %d", t.ID, s.N, n)
			return nil
		}
		n++
		c.steps.Add(1)
		if pause(ctx, stepEvery) != nil {
			return ctx.Err()
		}
	}
	if n != t.Count {
		c.broken("pipe %x ended in order after %d steps of %d", t.ID, n, t.Count)
	}
	c.walked.Add(1)
	return nil
}

// A follower follows one state for as long as its caller lives.
type follower struct {
	caller *caller
	topic  int

	mu   sync.Mutex // guards the fields below, for news
	book book
	live bool

	info *bus.Info // of the stream
	last time.Time // when there was news
	gone hole      // that there is, if the stream has ended
}

// news returns whether f has a stream, and when its newest entry was made.
func (f *follower) news() (live bool, made time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live, time.Unix(0, f.book.At)
}

func (f *follower) follow(ctx context.Context, private, resume bool) {
	watch := sharedRPC.Client(f.caller.client)
	if private {
		watch = privateRPC.Client(f.caller.client)
	}
	for ev := range durable.State(ctx, watch, f.topic, durable.Policy{Resume: resume}) {
		switch ev.Kind {
		case durable.Connected:
			f.info = ev.Info
		case durable.Snapshot:
			f.begin(ev.State)
		case durable.Resumed:
			f.info = ev.Info
			f.goOn()
		case durable.Update:
			f.update(ev.Update, ev.Err)
		case durable.Lost:
			f.lose(ev.Err)
		case durable.FailedToConnect, durable.Rejected:
			f.fail(ev.Err)
		}
	}
}

// begin takes a fresh state.
func (f *follower) begin(b book) {
	f.mu.Lock()
	f.book, f.live = b, true
	f.mu.Unlock()
	if b.Topic != f.topic || b.Value != right(b, b.N) || f.info.Position != b.N {
		f.caller.broken("state of topic %d, at %d: %+v", f.topic, f.info.Position, b)
	}
	f.heard(true)
}

// goOn takes the stream up where it was.
func (f *follower) goOn() {
	f.mu.Lock()
	f.live = true
	f.mu.Unlock()
	if f.info.Position != f.book.N {
		f.caller.broken("a state of topic %d goes on at %d, and is at %d", f.topic, f.info.Position, f.book.N)
	}
	f.heard(false)
}

// update applies an entry: the one that follows, with which the state is what its
// source's was at the position that the stream tells.
func (f *follower) update(e entry, err error) {
	before := f.book
	f.mu.Lock()
	f.book = apply(f.book, e)
	f.mu.Unlock()
	at, exact := f.info.Reached()
	if err != nil || e.N != before.N+1 || f.book.Value != right(f.book, e.N) || at > e.N || exact && at != e.N {
		f.caller.broken("a state of topic %d: %+v comes after %+v, with %v, at %d", f.topic, e, before, err, at)
	}
	f.caller.entries.Add(1)
	f.heard(false)
}

func (f *follower) lose(err error) {
	f.mu.Lock()
	f.live = false
	f.mu.Unlock()
	e, ok := errors.AsType[*bus.Error](err)
	if !ok {
		f.caller.broken("a state was lost with an error without a code: %v", err)
		return
	}
	f.gone.Code = e.Code
	f.fail(err)
}

// fail takes down why there is no stream yet.
func (f *follower) fail(err error) {
	if e, ok := errors.AsType[*bus.Error](err); ok && len(f.gone.Tried) < 20 {
		f.gone.Tried = append(f.gone.Tried, fmt.Sprintf("%.2f s %s", time.Since(f.last).Seconds(), e.Code))
	}
}

// heard notes that there is news, and tells of the time in which there was none.
func (f *follower) heard(anew bool) {
	h := f.gone
	h.From, h.To, h.Topic, h.Anew = f.last, time.Now(), f.topic, anew
	if !f.last.IsZero() && (h.Code != "" || h.To.Sub(h.From) > stillness) {
		f.caller.say(report{Hole: &h})
	}
	f.last, f.gone = h.To, hole{}
}
