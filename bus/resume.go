// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/wire"
)

// A place is where a reader stands in the source of its updates. It moves only
// when the reader has taken all that came before it.
type place struct {
	epoch    string // "": there is no source
	position uint64
	known    bool // all updates up to position were taken whole, and nothing behind it
}

// A progress is the place of one reader, which alone moves it, for others to see.
// There is none, and it is nil, without a source.
type progress struct {
	mu sync.Mutex // guards at
	at place
}

func (p *progress) place() place {
	if p == nil {
		return place{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// goesOn reports whether the updates of a follow what was taken. Those without
// positions do: the frames they came in are numbered.
func (p place) goesOn(a arrival) bool {
	return p.epoch == "" || a.last == 0 || a.before == p.position && a.last >= a.before
}

// taking notes that something behind the place is being taken.
func (p *progress) taking() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.known = false
}

// took notes that all updates of a were taken.
func (p *progress) took(a arrival) {
	if p == nil || a.last == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.position, p.at.known = a.last, true
}

// begun learns where the stream begins.
func (r *reader) begun() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if f := r.c.first; f.Epoch != "" {
		r.at = &progress{at: place{epoch: f.Epoch, position: f.Position, known: true}}
		r.c.at = r.at
	}
}

// located adds to i where the reader stands.
func (r *reader) located(i Info) Info {
	at := r.at.place()
	i.Epoch, i.Position = at.epoch, at.position
	if r.at != nil {
		i.progress = r.at
	}
	return i
}

// tell yields what happens to the stream.
func (r *reader) tell(b *Break, yield func(Element, error) bool) (more bool) {
	r.broken = b.Err != nil
	if b.Info != nil {
		info := r.located(*b.Info)
		b = &Break{Info: &info}
	}
	return yield(Element{}, b)
}

// mayResume reports whether a stream that err ended can be taken up where the
// reader stands, at an instance that is known. What the responder itself ended is
// over.
func (r *reader) mayResume(err error) bool {
	e, ok := err.(*Error)
	if !ok || !r.at.place().known || r.call == nil || r.info().Instance == "" || r.c.box.isShut() {
		return false
	}
	return e.Code == Lost || e.Code == Gone || e.Code == Disconnected
}

// resume takes up, at the same instance, the stream that cause has ended: no
// other has its source. It tells of each attempt. Where it cannot it yields the
// stream's end and reports false, as where the reader has enough.
func (r *reader) resume(ctx context.Context, cause error, yield func(Element, error) bool) bool {
	if !r.mayResume(cause) {
		yield(Element{}, cause)
		return false
	}
	if !r.broken && !r.tell(&Break{Err: cause}, yield) {
		return false
	}
	how, _ := ctx.Value(resumeKey{}).(Resume)
	err, _ := cause.(*Error)
	gone := err.Code == Gone // with a connection: one attempt says whether it is
	for n, start := 1, time.Duration(-1); ; n++ {
		left := flow.SettleTime // for the instance to return in
		if start >= 0 {
			left -= r.c.box.now() - start
		}
		if e := r.pause(ctx, r.c.box.whenBack(), min(how.wait(n), left)); e != nil {
			yield(Element{}, e)
			return false
		}
		leave, ok := how.admit(ctx)
		if !ok {
			yield(Element{}, r.c.contextError(ctx))
			return false
		}
		now := r.c.box.now()
		if start < 0 {
			start = now
		}
		err = r.reopen(ctx)
		leave()
		if err == nil {
			r.c.trouble(troubleResumed)
			info := r.info()
			return r.tell(&Break{Info: &info}, yield)
		}
		if err.Code == Disconnected {
			start, gone = -1, false
		}
		if ctx.Err() != nil || gone || !passing(err.Code) || r.c.box.isShut() || start >= 0 && now-start >= flow.SettleTime {
			break
		}
		if !r.tell(&Break{Err: err}, yield) {
			return false
		}
	}
	end := r.notResumed(ctx, err)
	if ctx.Err() == nil && !errors.Is(cause, Lost) { // which was counted
		r.c.trouble(troubleLost, "why", end.Error())
	}
	yield(Element{}, end)
	return false
}

// passing reports whether the instance may be reached later: it may be about to
// reconnect too.
func passing(c Code) bool {
	return c == NoResponder || c == Disconnected || c == NoAnswer || c == Busy || c == Expired
}

func (r *reader) notResumed(ctx context.Context, err *Error) error {
	if ctx.Err() != nil {
		return r.c.contextError(ctx)
	}
	if err.Code == Denied { // of which nothing else tells: a fresh stream takes its place
		r.c.box.drops.add(dropResume, "rpc", r.c.route.desc, "peer", r.info().Instance, "error", err)
	}
	e := r.c.lost("the stream was interrupted and cannot be taken up: " + err.Error())
	e.Err, e.Again = err, err.Again
	return e
}

// pause waits until the connection is back, if it is away, and then for d.
func (r *reader) pause(ctx context.Context, back <-chan struct{}, d time.Duration) error {
	if back != nil {
		select {
		case <-back:
		case <-r.c.box.quit:
			return r.c.box.unusable(errClosed, r.c.route.desc)
		case <-ctx.Done():
			return r.c.contextError(ctx)
		}
	}
	if !sleep(ctx, d) {
		return r.c.contextError(ctx)
	}
	return nil
}

// reopen asks the instance for what comes behind the reader's place, and makes
// that the reader's call. Where a feed does not reach us it asks once more, for a
// stream of our own; and where it has another idea of our clock, to learn that anew.
func (r *reader) reopen(ctx context.Context) *Error {
	var next *reader
	for how := (attempt{}); next == nil; {
		var err *Error
		switch next, err = r.again(ctx, how); {
		case err == nil:
		case (err.Err == errNoFeed || err.Err == errOldFeed) && !how.private:
			how.private = true
		case err.Err == errAged && !how.fresh:
			how.fresh = true
		default:
			return err
		}
	}
	r.stop()
	r.c.finish()
	r.unreserve()
	r.c, r.inHand, r.count = next.c, next.inHand, 0
	r.c.goesOn(r.at)
	r.watcher, r.stop = next.watcher, next.stop
	if r.watcher != nil {
		r.watcher.teller = r // who knows what was told
	}
	return nil
}

// goesOn notes whose reader has the call from now on.
func (c *inCall) goesOn(at *progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// again returns the reader of a stream that goes on at r's place.
func (r *reader) again(ctx context.Context, how attempt) (*reader, *Error) {
	of := r.c.route
	how.from = r.at.place()
	how.route = &route{box: of.box, desc: of.desc, name: of.name, subject: wire.InstanceSubject(r.info().Instance, of.name, of.desc.Version)}
	next, err := r.c.box.dispatch(ctx, *r.call, how)
	if err != nil {
		return nil, err.(*Error)
	}
	_, err = next.first(ctx)
	switch {
	case err != nil:
	case !next.resumes(r.at.place()):
		err = next.c.lost("the responder does not go on where the stream was")
	case next.c.shared():
		next.at = r.at
		err = next.watch(ctx)
	default:
		next.stop = afterFunc(ctx, next.c.finish)
	}
	if err != nil {
		next.c.finish()
		return nil, err.(*Error)
	}
	return next, nil
}

// resumes reports whether the first frame says that the stream goes on at p.
func (r *reader) resumes(p place) bool {
	r.begun()
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.c.first.Resumed && r.at.place() == p
}
