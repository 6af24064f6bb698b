// SPDX-License-Identifier: Apache-2.0

package bus

import "time"

// Snapshot returns what is open in the client and in all that were made from it.
// It looks at one stream after another, each for a moment, and costs about a
// microsecond for each.
func (cl *Client) Snapshot() Snapshot {
	if cl.err != nil {
		return Snapshot{Side: "client", Streams: []StreamInfo{}}
	}
	return cl.box.snapshot()
}

func (b *mailbox) snapshot() Snapshot {
	s := Snapshot{Side: "client", ID: b.id, Streams: []StreamInfo{}}
	s.Counters, s.Dropped = tally(&b.troubles, &b.drops)
	b.mu.Lock()
	calls := make([]*inCall, 0, len(b.calls))
	for _, c := range b.calls {
		calls = append(calls, c)
	}
	feeds := make([]*inFeed, 0, len(b.joins))
	for _, f := range b.joins {
		feeds = append(feeds, f)
	}
	s.Held = Held{Peers: len(b.peers), Calls: len(b.calls), Values: b.values.taken(), Windows: b.onWay.taken()}
	b.mu.Unlock()
	connected, now := b.conn.Connected(), b.now()
	for _, c := range calls {
		if c.route.desc.Kind.Streams() && !c.left() {
			s.Streams = append(s.Streams, c.snapshot(now, connected))
		}
	}
	for _, f := range feeds {
		var bytes int
		s.Streams, bytes = f.snapshot(s.Streams, now)
		s.Held.Feeds += int64(bytes)
	}
	return s
}

func (c *inCall) snapshot(now time.Duration, connected bool) StreamInfo {
	c.mu.Lock()
	i, p, at := infoOf(RoleStream, c.route.desc, now-c.sent), c.peer, c.at
	i.Peer, i.CallID = c.instance, callID(c.box.id, c.id)
	i.Frames, i.Credit, i.Queued = c.recv.Seq(), received(&c.recv.Window), int(c.recv.Window.Held())
	switch {
	case c.doubt != nil, !connected:
		i.Waits = WaitConnection
	case !c.opened:
		i.Waits = WaitAnswer
	case i.Queued > 0:
		i.Waits = WaitReader
	}
	c.mu.Unlock()
	place := at.place()
	i.Epoch, i.Position = place.epoch, place.position
	p.tellOf(&i, now)
	return i
}

// tellOf adds what is known of the peer, if there is one. What was between us and one
// that is gone is over, also while a reader has yet to see the end of its stream.
func (p *peer) tellOf(i *StreamInfo, now time.Duration) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	i.Shared = received(&p.window)
	if !p.heard.Load() {
		i.Heard = p.live.Silence(now)
	}
}

// snapshot adds the feed and its readers to all, and returns how many bytes of it
// are kept.
func (f *inFeed) snapshot(all []StreamInfo, now time.Duration) ([]StreamInfo, int) {
	i := infoOf(RoleFeed, f.desc, now-f.since)
	i.Peer, i.CallID, i.Feed = f.key.instance, callID(f.box.id, f.call), f.key.token
	f.peer.tellOf(&i, now)

	f.mu.Lock()
	defer f.mu.Unlock()
	reader := i
	i.Readers, i.Position, i.Frames, i.Queued = len(f.readers), f.order.Have(), f.next(), f.bytes
	switch {
	case f.away:
		i.Waits = WaitConnection
	case f.order.Behind():
		i.Waits = WaitMissing
	case !f.proven:
		i.Waits = WaitAnswer
	}
	behind := make([]int, len(f.ring)+1) // bytes from each chunk on
	for n := len(f.ring) - 1; n >= 0; n-- {
		behind[n] = behind[n+1] + f.ring[n].size
	}
	all = append(all, i)
	for w := range f.readers {
		all = append(all, w.snapshot(reader, behind, now))
	}
	return all, f.bytes
}

// snapshot completes what is said of a reader. The feed's mu is held.
func (w *watcher) snapshot(i StreamInfo, behind []int, now time.Duration) StreamInfo {
	f := w.feed
	i.Role, i.Age, i.Frames, i.Position = RoleReader, now-w.since, w.next, f.base
	n := 0 // of its next chunk, in the ring
	if w.next > f.first {
		n = int(w.next - f.first)
		i.Position = f.ring[n-1].Last
	}
	switch i.Queued = behind[n]; {
	case w.broken:
		i.Waits = WaitConnection
	case w.next < f.next():
		i.Waits = WaitReader
	}
	return i
}
