// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// privateFor is how long callers of what could not be shared get streams of their
// own before it is tried again.
const privateFor = time.Minute

// maxPrivate is of how many shared streams that could not be is remembered.
const maxPrivate = 10_000

// Feeds are those of one server.
type feeds struct {
	mu      sync.Mutex // guards the fields below
	byKey   map[feedKey]*feed
	byToken map[string]*feed // those that are over too, for a while
	private map[feedKey]time.Duration
}

func newFeeds() feeds {
	return feeds{byKey: map[feedKey]*feed{}, byToken: map[string]*feed{}, private: map[feedKey]time.Duration{}}
}

func (t *feeds) all() []*feed {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*feed, 0, len(t.byToken))
	for _, f := range t.byToken {
		all = append(all, f)
	}
	return all
}

func (t *feeds) find(token string) *feed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byToken[token]
}

// mayShare reports whether callers of key are not known to need streams of their
// own.
func (t *feeds) mayShare(key feedKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, private := t.private[key]
	return !private
}

// feedOf returns the feed for c, whose key this is. It begins one for the first, at
// the place that is asked for if the source has what is behind it; nil where there is
// no room for another.
func (s *Server) feedOf(p *endpoint, c Call, key feedKey, asked place) *feed {
	t := &s.feeds
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.byKey[key]; f != nil {
		return f
	}
	if !s.feedBegins() {
		return nil
	}
	f := &feed{
		srv: s, point: p, key: key, token: newID(), counts: c.Kind == Pipe,
		begun: make(chan struct{}), wanted: make(chan struct{}), members: map[*session]uint64{}, idle: s.now(), since: s.now(),
	}
	f.subject = wire.FeedSubject(wire.FullName(s.svc.Prefix, c.Name), c.Version, s.instance, f.token)
	f.source.pumps, f.source.soon = true, f.soon
	f.source.epoch, f.source.after = asked.epoch, asked.position
	f.ctx, f.cancel = context.WithCancelCause(s.ctx)
	t.byKey[key], t.byToken[f.token] = f, f
	go f.pump(c) // feedEnded is its last act, and Close waits for that
	return f
}

// feedBegins counts a feed as an open stream, if there is room.
func (s *Server) feedBegins() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.leaving || s.open >= s.svc.Streams {
		return false
	}
	s.open++
	s.calls.Add(1)
	return true
}

// feedEnded undoes feedBegins.
func (s *Server) feedEnded(f *feed) {
	f.cancel(nil)
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
	s.calls.Done()
}

// unshare remembers that callers of key need streams of their own.
func (s *Server) unshare(p *endpoint, key feedKey, why error) {
	p.told.Do(func() {
		s.drops.log.write(slog.LevelWarn, "a stream cannot be shared; its callers have streams of their own",
			"rpc", p.String(), "at", s.drops.who, "why", why)
	})
	t := &s.feeds
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, key)
	if len(t.private) < maxPrivate {
		t.private[key] = s.now() + privateFor
	}
}

// stop ends the feed: its members hear why, and the next caller begins another.
func (f *feed) stop(err error) {
	s := f.srv
	switch err {
	case errNoSource, errTooLong:
		s.unshare(f.point, f.key, err)
		err = &Error{Code: Lost, MayHaveRun: true, Message: "the stream cannot be shared: " + err.Error()}
	}
	if err != nil {
		err = s.mux.said(err, f.key.Description, callID(f.token, 0))
	}
	t := &s.feeds
	t.mu.Lock()
	if t.byKey[f.key] == f {
		delete(t.byKey, f.key)
	}
	t.mu.Unlock()

	f.mu.Lock()
	f.over, f.end, f.idle = true, err, s.now()
	members := f.members
	f.members = nil
	f.mu.Unlock()
	for sess, call := range members {
		sess.forgetMember(call)
		sess.tell(f.endFrame(call).Append(nil))
	}
}

// endFrame says at which position the feed has ended, and why.
func (f *feed) endFrame(call uint64) wire.End {
	end := wire.End{Call: call, Count: f.last.Load()}
	if f.end != nil {
		end.Error = toWire(f.end)
	}
	return end
}

// ticked ends feeds that nobody reads, and has the others say where they stand.
// It reports whether there are any.
func (t *feeds) ticked(now time.Duration) bool {
	for _, f := range t.all() {
		if f.ticked(now) {
			t.mu.Lock()
			delete(t.byToken, f.token)
			t.mu.Unlock()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, until := range t.private {
		if now > until {
			delete(t.private, key)
		}
	}
	return len(t.byToken) > 0
}

// ticked reports whether the feed is to be forgotten.
func (f *feed) ticked(now time.Duration) bool {
	f.mu.Lock()
	f.ring.Expire(now - feedKept)
	lonely := len(f.members) == 0 && now-f.idle >= feedIdle
	quiet := len(f.members) > 0 && now-f.sent >= time.Second
	over := f.over
	f.mu.Unlock()
	switch {
	case lonely && !over:
		f.cancel(errNobody)
	case quiet:
		f.mark()
	}
	return lonely && over
}

// reconnected has all feeds say where they stand now.
func (t *feeds) reconnected() {
	for _, f := range t.all() {
		f.mark()
	}
}

// feedEvent is told of the changes of the feeds' own connection.
func (s *Server) feedEvent(ev transport.Event) {
	switch ev.Kind {
	case transport.Reconnected:
		s.feeds.reconnected()
	case transport.Denied:
		s.drops.add(dropSend, "error", ev.Err)
	}
}

// leave ends all feeds because the responder is leaving.
func (t *feeds) leave() {
	for _, f := range t.all() {
		f.cancel(Draining)
	}
}
