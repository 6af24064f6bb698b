// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"github.com/durabus/durabus/bus"
)

// open opens one stream, whose context is ctx.
type open[S, U any] func(ctx context.Context) (S, iter.Seq2[U, error], error)

// follow returns the events of the streams that f opens. The first loop over
// them begins with first, unless it is nil.
func follow[S, U any](ctx context.Context, f open[S, U], snapshots bool, p Policy, first *opened[S, U]) iter.Seq[Event[S, U]] {
	var taken atomic.Pointer[opened[S, U]]
	taken.Store(first)
	return func(yield func(Event[S, U]) bool) {
		r := run[S, U]{open: f, snapshots: snapshots, backoff: backoff{policy: p}, ctx: ctx, yield: yield}
		r.loop(p.resuming(ctx, false), taken.Swap(nil))
	}
}

// A run is one loop over the events of one durable stream. Only the goroutine of
// the loop touches it.
type run[S, U any] struct {
	open      open[S, U]
	snapshots bool
	backoff   backoff
	outage    outage
	connects  bool // or did before

	ctx   context.Context // after whose end nothing is told
	yield func(Event[S, U]) bool
}

// tell reports whether the consumer wants more.
func (r *run[S, U]) tell(ev Event[S, U]) bool { return r.ctx.Err() == nil && r.yield(ev) }

// fail tells how a stream ended or an attempt failed.
func (r *run[S, U]) fail(end ending) bool {
	if r.ctx.Err() != nil {
		return false
	}
	r.outage.failed(r.ctx, end)
	return r.yield(Event[S, U]{Kind: end.kind, Err: end.err}) && !r.backoff.policy.final(end.err)
}

// loop goes from attempt to attempt, of which the first has already succeeded
// where o is not nil.
func (r *run[S, U]) loop(ctx context.Context, o *opened[S, U]) {
	defer o.leave()
	told := false // that an attempt is being made
	for told || r.tell(Event[S, U]{Kind: Attempting}) {
		end, more := r.attempt(ctx, o)
		o = nil
		told = end.kind == Attempting
		if !more || !told && !r.fail(end) || !r.backoff.pause(ctx, end) {
			return
		}
	}
}

// attempt opens a stream, unless o is one, and yields it to its end.
func (r *run[S, U]) attempt(ctx context.Context, o *opened[S, U]) (end ending, more bool) {
	if o == nil {
		if r.connects {
			ctx = r.backoff.policy.resuming(ctx, true)
		}
		var err error
		if o, err = r.open.enter(ctx); err != nil {
			return r.refused(err), true
		}
	}
	defer o.leave()
	r.connected(&o.info)
	if !r.tell(Event[S, U]{Kind: Connected, Info: &o.info}) {
		return end, false
	}
	if r.snapshots && !r.tell(Event[S, U]{Kind: Snapshot, State: o.state}) {
		return end, false
	}
	return r.stream(o.updates)
}

// stream yields updates until they end, and returns how.
func (r *run[S, U]) stream(updates iter.Seq2[U, error]) (end ending, more bool) {
	if updates == nil {
		return r.lost(ErrEnded), true
	}
	broken := false                 // and not yet resumed
	ev := Event[S, U]{Kind: Update} // of all updates, which is cheaper than one of each
	for u, err := range updates {
		if err != nil && !bus.IsElement(err) {
			b, ok := errors.AsType[*bus.Break](err)
			switch {
			case !ok && broken:
				return r.notResumed(err), true
			case !ok:
				return r.lost(err), true
			case b.Err != nil && !r.backoff.policy.Resume:
				return r.lost(b.Err), true
			case !r.interrupted(b, broken):
				return end, false
			}
			broken = b.Err != nil
			continue
		}
		ev.Update, ev.Err = u, err
		if r.ctx.Err() != nil || !r.yield(ev) { // as tell does, with one copy less
			return end, false
		}
	}
	if broken {
		return r.notResumed(ErrEnded), true
	}
	return r.lost(ErrEnded), true
}

// interrupted tells that a stream broke, that taking it up again failed, or that
// it is taken up.
func (r *run[S, U]) interrupted(b *bus.Break, broken bool) (more bool) {
	if b.Err == nil {
		info := b.Info
		if info == nil {
			info = new(bus.Info)
		}
		r.connected(info)
		return r.tell(Event[S, U]{Kind: Resumed, Info: info})
	}
	var end ending
	if broken {
		end = r.refused(b.Err)
	} else {
		end = r.lost(b.Err)
	}
	return r.fail(end) && r.tell(Event[S, U]{Kind: Attempting})
}

func (r *run[S, U]) connected(info *bus.Info) {
	r.connects = true
	r.backoff.connected()
	r.outage.connected(r.ctx, info)
}

func (r *run[S, U]) lost(err error) ending {
	if r.backoff.lost() {
		r.outage.over()
	}
	return ending{Lost, err}
}

// refused is the ending of an attempt.
func (r *run[S, U]) refused(err error) ending {
	r.backoff.failed++
	if codeOf(err) == bus.Application {
		return ending{Rejected, err}
	}
	return ending{FailedToConnect, err}
}

// notResumed is the ending of a stream that broke and was not taken up again.
// If that is because the server has the missing updates no more, the attempt
// goes on as one for a new stream.
func (r *run[S, U]) notResumed(err error) ending {
	if codeOf(err) == bus.Lost {
		return ending{Attempting, err}
	}
	return r.refused(err)
}
