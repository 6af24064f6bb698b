// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"time"

	"github.com/durabus/durabus/internal/wire"
)

// Snapshot returns what is open in the server. It looks at one stream after
// another, each for a moment, and costs about a microsecond for each.
func (s *Server) Snapshot() Snapshot {
	all := Snapshot{Side: "server", ID: s.instance, Streams: []StreamInfo{}}
	all.Counters, all.Dropped = tally(&s.troubles, &s.drops)
	connected, now := s.conn.Connected(), s.now()
	for _, sess := range s.allSessions() {
		all.Streams = sess.snapshot(all.Streams, now, connected)
		all.Held.Peers++
	}
	all.Held.Calls, all.Held.Values = int(s.running.Load()), s.queries.taken()
	for _, f := range s.feeds.all() {
		i, open := f.snapshot(now)
		all.Held.Feeds += int64(i.Kept)
		if open {
			all.Streams = append(all.Streams, i)
		}
	}
	return all
}

// snapshot adds the client's streams and memberships to all.
func (s *session) snapshot(all []StreamInfo, now time.Duration, connected bool) []StreamInfo {
	s.mu.Lock()
	of := StreamInfo{Peer: s.client, Shared: allowed(&s.credit)}
	if !s.heard.Load() {
		of.Heard = s.live.Silence(now)
	}
	jobs := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		if j.point.Kind.Streams() {
			jobs = append(jobs, j)
		}
	}
	for call, f := range s.feeds {
		i := infoOf(RoleMember, f.key.Description, 0)
		i.Peer, i.Shared, i.Heard = of.Peer, of.Shared, of.Heard
		i.CallID, i.Feed, i.Position = callID(s.client, call), f.token, f.last.Load()
		all = append(all, i)
	}
	s.mu.Unlock()
	for _, j := range jobs {
		i := infoOf(RoleStream, j.point.Description, now-j.started)
		i.Peer, i.Shared, i.Heard, i.CallID = of.Peer, of.Shared, of.Heard, j.callID()
		j.out.tellOf(&i, connected)
		all = append(all, i)
	}
	return all
}

// tellOf adds what has been sent and what has not.
func (s *outStream) tellOf(i *StreamInfo, connected bool) {
	i.Frames = s.published.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	i.Credit = allowed(&s.send.Credit)
	i.Queued = len(s.sealed) + s.gatheredSize()
	if s.source != nil {
		if epoch, position, ok := s.source.place(); ok {
			i.Epoch, i.Position = epoch, position
		}
	}
	if s.unsent != nil {
		i.Queued += len(s.unsent.data)
	}
	switch {
	case !connected:
		i.Waits = WaitConnection
	case s.waited&wire.BlockedOnPeer != 0:
		i.Waits = WaitShared
	case s.waited&wire.BlockedOnStream != 0:
		i.Waits = WaitCredit
	}
}

// snapshot reports false for a feed that is over.
func (f *feed) snapshot(now time.Duration) (i StreamInfo, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i = infoOf(RoleFeed, f.key.Description, now-f.since)
	i.CallID, i.Feed, i.Readers = callID(f.token, 0), f.token, len(f.members)
	i.Epoch, i.Position = f.epoch, f.last.Load()
	if f.batch.Count() > 0 {
		i.Queued = f.batch.Size()
	}
	if !f.srv.feedConn.Connected() {
		i.Waits = WaitConnection
	}
	i.Kept = f.ring.Bytes()
	return i, !f.over
}
