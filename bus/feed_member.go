// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/wire"
)

// This file is how callers come to a feed, and stay its members.

// wantsFeed reports whether the caller can read a feed, and the handler's streams
// are shared.
func (s *Server) wantsFeed(j *job, o *wire.Open) bool {
	kind := j.point.Kind
	mayJoin := kind == State || kind == Pipe && o.Epoch == "" // a pipe's feed has positions of its own
	return mayJoin && o.Features&featureFeeds != 0 && s.mux.handlers[j.point.Description].shared
}

// join carries out the call for its state alone and finds the feed that goes on
// behind it or, for who takes up a stream, behind the place that is asked for; the
// state is not sent then. Nil without an error says that the caller needs a stream
// of its own.
func (j *job) join() (*feed, Reply, error) {
	s, key := j.srv, keyOf(j.call)
	if !s.feeds.mayShare(key) {
		return nil, Reply{}, nil
	}
	r, at, err := j.snapshot(0)
	if err != nil {
		return nil, r, err
	}
	asked := place{epoch: j.ctx.source.epoch, position: j.ctx.source.after, known: true}
	if asked.epoch != "" {
		if at.epoch != asked.epoch || at.position < asked.position {
			return nil, r, nil
		}
		at, r.First = asked, nil
	}
	f := s.feedOf(j.point, j.call, key, asked)
	if f == nil {
		return nil, r, nil
	}
	select {
	case <-f.begun:
	case <-j.ctx.Done():
		return nil, r, s.mux.said(contextError(&j.ctx, j.point.Description), j.point.Description, j.callID())
	}
	if base, behind := f.begins(at); behind && asked.epoch == "" { // it began while we looked
		if r, at, err = j.snapshot(base); err != nil {
			return nil, r, err
		}
	}
	if at, err = f.admit(at); err != nil {
		if err == errOtherFeed {
			s.unshare(j.point, key, err)
		}
		return nil, r, nil
	}
	j.epoch, j.position, j.feed = at.epoch, at.position, f.token
	return f, r, nil
}

// snapshot carries out the call for its state alone, at position least or behind.
// Nobody loops over the updates that come with it: what waits for that is let go,
// though the call may last as a stream of its own.
func (j *job) snapshot(least uint64) (Reply, place, error) {
	ctx, cancel := context.WithCancel(&j.ctx)
	defer cancel()
	source := &Source{snapshots: &j.point.snapshots, least: least}
	r, err := j.srv.mux.call(withSource(ctx, source), j.call, j)
	var at place
	at.epoch, at.position, at.known = source.place()
	return r, at, err
}

// begins returns where what the feed has begins, and whether that is behind a state
// at p.
func (f *feed) begins(p place) (base uint64, behind bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	base = f.ring.Base()
	return base, !f.counts && p.known && p.epoch == f.epoch && p.position < base
}

// admit returns where in the feed a caller with a state at p begins.
func (f *feed) admit(p place) (place, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.over || f.epoch == "":
		return p, errNobody
	case f.counts:
		p = place{epoch: f.epoch, position: f.at, known: true}
	case !p.known:
		return p, errNoSource
	case p.epoch != f.epoch:
		return p, errOtherFeed
	case p.position < f.ring.Base():
		return p, errNobody
	}
	f.idle = f.srv.now()
	return p, nil
}

// answerShared sends the first value of a shared stream. What follows comes on
// the feed, and the call is over.
func (j *job) answerShared(r Reply) {
	if j.long(r) {
		j.answerLong(r)
		return
	}
	var frames []byte
	if !j.accepted.Swap(true) {
		frames = j.accept(0).Append(nil)
	}
	frames = wire.First{
		Call: j.id, Seq: 1, Metadata: r.Metadata, Epoch: j.epoch, Position: j.position, Data: r.First, Feed: j.feed,
		Resumed: j.ctx.source.epoch != "",
	}.Append(frames)
	j.sess.sent(j.sess.publishFirst(j.reply, frames))
}

// join makes the client a member of a feed, or keeps it one, and sends it what is
// behind the position that it has: as much as may be on its way, and then where
// the feed stands. Who has joined before for another call is a member for the
// newest.
func (s *session) join(m *wire.Join) error {
	if m.Call == 0 {
		return errors.New("it names no call")
	}
	f := s.srv.feeds.find(m.Feed)
	if f == nil {
		s.tell(wire.End{Call: m.Call, Error: toWire(&Error{Code: Lost, MayHaveRun: true, Instance: s.srv.instance, Message: "there is no such feed (any more)"})}.Append(nil))
		return nil
	}
	// Not with sendMu, which waits with the feeds' connection: a frame that is being
	// published is in the ring, and comes to this member twice.
	f.mu.Lock()
	missed, kept := f.ring.Since(m.From)
	over := f.over || f.epoch == ""
	old, was := f.members[s]
	joins := !over && kept
	if joins {
		f.members[s] = m.Call
		if f.counts {
			f.isWanted()
		}
	}
	packet := s.replay(m.Call, missed)
	packet = wire.Feed{Call: m.Call, Before: f.ring.Last(), Last: f.ring.Last()}.Append(packet)
	f.mu.Unlock()

	if joins && was && old != m.Call {
		s.forgetMember(old)
	}
	switch {
	case !kept:
		packet = wire.End{Call: m.Call, Count: m.From, Error: toWire(&Error{Code: Lost, MayHaveRun: true, Instance: s.srv.instance, Message: "updates that were missed are not kept any more"})}.Append(nil)
	case over:
		packet = f.endFrame(m.Call).Append(packet)
	default:
		before, ok := s.addMember(m.Call, f)
		if before != nil && before != f {
			before.leave(s, m.Call)
		}
		if !ok {
			f.leave(s, m.Call)
		}
		f.mark()
	}
	s.sent(s.publish(packet))
	return nil
}

// replay returns the frames of missed as those of call, as many as may be on
// their way to the client.
func (s *session) replay(call uint64, missed []flow.Held) (packet []byte) {
	for _, h := range missed {
		_, body, _, err := wire.Next(h.Data)
		var f wire.Feed
		if err != nil || f.Parse(body) != nil || len(packet) > 0 && len(packet)+len(h.Data) > feedReplay {
			break
		}
		if len(f.Elements) > 0 && !s.affords(flow.Cost(len(f.Elements))) {
			break
		}
		f.Call = call
		packet = f.Append(packet)
	}
	return packet
}

// isWanted lets the updates begin. f.mu is held.
func (f *feed) isWanted() {
	select {
	case <-f.wanted:
	default:
		close(f.wanted)
	}
}

// leave ends a membership.
func (f *feed) leave(s *session, call uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.members[s] == call {
		delete(f.members, s)
		f.idle = f.srv.now()
	}
}

// The memberships of a session are in its heartbeats as its calls are.

// addMember returns the feed of which call was a member before. It reports false if
// the client is gone.
func (s *session) addMember(call uint64, f *feed) (before *feed, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, false
	}
	if s.feeds == nil {
		s.feeds = map[uint64]*feed{}
	}
	before = s.feeds[call]
	s.feeds[call], s.joined = f, true
	return before, true
}

// forgetMember ends a membership on the session's side, and returns its feed.
func (s *session) forgetMember(call uint64) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feeds[call]
	if f == nil {
		return nil
	}
	delete(s.feeds, call)
	if len(s.feeds)+len(s.jobs) == 0 {
		s.idle = s.srv.now()
	}
	return f
}

// leave ends a membership that the client has ended, if call is one.
func (s *session) leave(call uint64) {
	if f := s.forgetMember(call); f != nil {
		f.leave(s, call)
	}
}

// leaveAll ends the memberships of a client that is gone, and returns how many.
func (s *session) leaveAll() int {
	s.mu.Lock()
	feeds := s.feeds
	s.feeds = nil
	s.mu.Unlock()
	for call, f := range feeds {
		f.leave(s, call)
	}
	return len(feeds)
}

func (s *session) isMember(call uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feeds[call] != nil
}

// affords takes peer credit, if there is enough.
func (s *session) affords(cost uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credit.Use(cost)
}

// tell has frames sent to the client's newest address: by the outbox, behind what
// has gathered as long as that is one message.
func (s *session) tell(frames []byte) {
	s.mu.Lock()
	for len(s.news) > 0 && len(s.news)+len(frames) > batchSize {
		s.mu.Unlock()
		s.flush()
		s.mu.Lock()
	}
	s.news = append(s.news, frames...)
	s.mu.Unlock()
	s.srv.out.add(s)
}
