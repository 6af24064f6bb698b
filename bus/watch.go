// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A watcher is one reader of a feed. Each has a channel of its own to be woken
// by: thousands that wait on one would wait for its lock as well.
type watcher struct {
	feed  *inFeed
	next  uint64        // number of the chunk to read; the feed's
	have  uint64        // position that it has come to
	at    *progress     // that, for others to see
	wake  chan struct{} // of one: the feed changed since it waits, or the context ended
	waits bool          // is among those who wait; the feed's mu guards it

	teller  *reader       // whose loop is told of outages; nil
	outages uint64        // of the feed, that were told
	since   time.Duration // it began
	broken  bool          // an outage was told and not its end
}

// Errors that send looks for: the updates do not come this way.
var (
	errNoFeed  = errors.New("frames of the shared feed do not reach this client")
	errOldFeed = errors.New("the shared feed does not go on behind this state any more")
)

// watch makes the reader one of the feed that the first frame names: its first
// value is there, and what is behind that comes on the feed. It waits until that
// is certain.
func (r *reader) watch(ctx context.Context) error {
	c := r.c
	c.mu.Lock()
	first, p, instance := *c.first, c.peer, c.instance
	c.mu.Unlock()
	c.finish()
	key := inFeedKey{instance, first.Feed}
	if p == nil || checkTokens(key.token) != "" || checkTokens(key.instance) != "" {
		return &Error{Code: Lost, RPC: c.route.desc, Err: errNoFeed, MayHaveRun: true, Message: errNoFeed.Error()}
	}
	w, err := c.box.watcher(p, c.route.desc, c.route.name, key, first.Position)
	if err == nil {
		err = w.begin(ctx)
	}
	if err != nil {
		return err
	}
	w.at, r.watcher = r.at, w
	if r.call != nil {
		w.teller = r
	}
	r.stop = afterFunc(ctx, func() {
		w.leave()
		signal(w.wake)
	})
	return nil
}

// shared reports whether the updates come on a feed.
func (c *inCall) shared() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first.Feed != ""
}

// watcher returns a new reader behind position at of a feed, which it joins for
// the first.
func (b *mailbox) watcher(p *peer, d Description, name string, key inFeedKey, at uint64) (*watcher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, b.unusable(errClosed, d)
	}
	f := b.feeds[key]
	if f != nil && f.isOver() {
		b.forgetFeed(f)
		f = nil
	}
	if f == nil {
		var err error
		if f, err = b.subscribeFeed(p, d, name, key, at); err != nil {
			return nil, &Error{Code: Lost, RPC: d, Err: errNoFeed, MayHaveRun: true, Message: err.Error()}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.adrift, at < f.base && len(f.readers) == 0: // what is missing was not asked for
		f.begin(at)
		f.join(b.now())
	case at < f.base:
		return nil, f.stale()
	}
	f.order.Reached(at)
	i := slices.IndexFunc(f.ring, func(c *chunk) bool { return c.Last > at })
	if i < 0 {
		i = len(f.ring)
	}
	w := &watcher{feed: f, next: f.first + uint64(i), have: at, wake: make(chan struct{}, 1), outages: f.outages, since: b.now()}
	f.readers[w] = struct{}{}
	return w, nil
}

func (f *inFeed) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

func (f *inFeed) stale() *Error {
	e := f.lost(errOldFeed.Error())
	e.Err = errOldFeed
	return e
}

// begin waits until the feed is known to reach us, and all that is known of it is
// here.
func (w *watcher) begin(ctx context.Context) error {
	f := w.feed
	var again, giveUp *time.Timer // none where nothing is to be waited for
	for {
		f.mu.Lock()
		ready, over, lost := f.proven && !f.order.Behind(), f.over, w.next < f.first
		if !ready {
			w.wait()
		}
		f.mu.Unlock()
		switch {
		case over && !ready || lost:
			w.leave()
			return f.stale()
		case ready:
			return nil
		case again == nil:
			again, giveUp = time.NewTimer(f.repeat()), time.NewTimer(feedReaches)
			defer again.Stop()
			defer giveUp.Stop()
		}
		select {
		case <-w.wake:
		case <-again.C:
			again.Reset(f.repeat())
		case <-giveUp.C:
			w.leave()
			f.box.reachless(f)
			e := f.lost(errNoFeed.Error())
			e.Err = errNoFeed
			return e
		case <-ctx.Done():
			w.leave()
			return contextError(ctx, f.desc)
		}
	}
}

// leave gives the reader's place up. It may be called more than once.
func (w *watcher) leave() {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.readers, w); len(f.readers) == 0 {
		f.idle = f.box.now()
	}
}

// wait has the next change wake the reader. The feed's mu is held.
func (w *watcher) wait() {
	if !w.waits {
		w.waits = true
		w.feed.waiting = append(w.feed.waiting, w)
	}
}

// updates yields what comes on the feed until that ends, and returns the error
// that it ended with, or until the loop is left.
func (w *watcher) updates(ctx context.Context, yield func(Element, error) bool) error {
	f := w.feed
	defer w.leave()
	for {
		c, err := w.chunk(ctx)
		if b, ok := err.(*Break); ok {
			if b.Err == nil {
				info := w.teller.info()
				b.Info = &info
			}
			if !w.teller.tell(b, yield) {
				return nil
			}
			continue
		}
		if c == nil {
			return err
		}
		w.at.taking()
		for i := range c.elements {
			e := &c.elements[i]
			if e.place <= w.have {
				continue
			}
			var fault error
			element := Element{data: e.data, memo: &e.memo}
			if e.fault {
				element, fault = Element{}, &ElementError{RPC: f.desc, Err: errors.New(string(e.data))}
			}
			if !yield(element, fault) {
				return nil
			}
		}
		w.have = max(w.have, c.Last)
		w.at.took(arrival{last: w.have})
	}
}

// chunk waits for the next chunk. It returns none at the feed's end, and a Break
// where the reader is to be told of an outage or of its end.
func (w *watcher) chunk(ctx context.Context) (*chunk, error) {
	for {
		if c, ready, err := w.look(ctx); ready {
			return c, err
		}
		if ctx.Err() != nil {
			return nil, contextError(ctx, w.feed.desc)
		}
		<-w.wake
	}
}

// look returns what chunk does, if that is there; else a change wakes the reader.
func (w *watcher) look(ctx context.Context) (c *chunk, ready bool, err error) {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.next < f.first {
		if ctx.Err() != nil { // and so it had left
			return nil, true, contextError(ctx, f.desc)
		}
		e := f.lost("the reader fell behind by more than is kept of a shared feed; open again for what is current")
		f.trouble(troubleLost, "why", e.Message)
		return nil, true, e
	}
	if b := w.interrupted(); b != nil {
		return nil, true, b
	}
	switch {
	case w.broken && !f.over: // what is behind an outage comes behind its end
	case w.next < f.next() && !w.broken:
		c = f.ring[w.next-f.first]
		w.next++
		return c, true, nil
	case f.over && f.end == nil:
		return nil, true, nil
	case f.over:
		e := *f.end // each reader has one of its own
		return nil, true, &e
	}
	w.wait()
	return nil, false, nil
}

// interrupted returns what the reader is to be told of outages. The feed's mu is
// held.
func (w *watcher) interrupted() *Break {
	f := w.feed
	if w.teller == nil {
		return nil
	}
	if w.outages != f.outages {
		w.outages = f.outages
		if !w.broken {
			w.broken = true
			e := *f.cut
			return &Break{Err: &e}
		}
	}
	if w.broken && (f.over && f.end == nil || !f.over && !f.away && f.proven && !f.order.Behind()) {
		w.broken = false
		f.trouble(troubleResumed)
		return &Break{}
	}
	return nil
}
