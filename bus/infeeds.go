// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"log/slog"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// This file is the feeds of a client, and what they have to do with its peers.

// subscribeFeed begins a feed behind position at. b.mu is held.
func (b *mailbox) subscribeFeed(p *peer, d Description, name string, key inFeedKey, at uint64) (*inFeed, error) {
	now := b.now()
	f := &inFeed{
		box: b, peer: p, desc: d, name: name, key: key, call: b.next(),
		subject: wire.FeedSubject(name, d.Version, key.instance, key.token),
		order:   flow.NewOrder[*chunk](at), base: at, readers: map[*watcher]struct{}{}, heard: now, idle: now, since: now,
		asking: true, queued: true, asked: now, pause: joinSoon, from: at,
	}
	var err error
	if f.sub, err = b.feedConn.Subscribe(f.subject, "", f.receive); err != nil {
		return nil, err
	}
	if !p.addFeed(f) {
		return nil, errors.Join(errOldFeed, f.sub.Unsubscribe())
	}
	b.feeds[key], b.joins[f.call] = f, f
	b.startTick()
	return f, nil
}

// forgetFeed ends a feed that has no readers, or has ended. b.mu is held.
func (b *mailbox) forgetFeed(f *inFeed) {
	if b.feeds[f.key] == f {
		delete(b.feeds, f.key)
	}
	delete(b.joins, f.call)
	f.peer.dropFeed(f)
	f.fail(f.lost("the shared feed has ended"))
	if err := ended(f.sub.Unsubscribe()); err != nil {
		b.drops.add(dropSend, "rpc", f.desc, "peer", f.key.instance, "feed", f.subject, "error", err)
	}
}

// tickFeeds ends feeds that are not needed any more. b.mu is held.
func (b *mailbox) tickFeeds(now time.Duration, late bool) {
	connected := b.conn.Connected() && b.feedConn.Connected()
	for _, f := range b.joins {
		if f.ticked(now, late, connected) {
			b.forgetFeed(f)
		}
	}
}

// rejoin joins all feeds anew.
func (b *mailbox) rejoin() {
	for _, f := range b.joins {
		f.rejoin()
	}
}

// feedEvent is told of the changes of the feeds' own connection.
func (b *mailbox) feedEvent(ev transport.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev.Kind {
	case transport.Disconnected:
		for _, f := range b.joins {
			f.interrupted(&Error{Code: Disconnected, RPC: f.desc, MayHaveRun: true, Err: ev.Err, Message: "the feeds' connection to the broker was lost"})
		}
	case transport.Closed: // for good; who opens again gets a stream of his own
		for _, f := range b.joins {
			f.fail(&Error{Code: Disconnected, RPC: f.desc, Instance: f.key.instance, MayHaveRun: true, Err: ev.Err, Message: "the feeds' connection to the broker was closed"})
		}
	case transport.Reconnected:
		b.rejoin()
	case transport.Denied:
		b.feedDenied(ev)
	}
}

// feedDenied notices that the broker refused the subscription of a feed: its
// readers need streams of their own. b.mu is held.
func (b *mailbox) feedDenied(ev transport.Event) {
	for _, f := range b.joins {
		if f.subject == ev.Subject {
			b.private(f, "no permission to subscribe to "+f.subject)
			f.fail(f.lost(errNoFeed.Error()))
		}
	}
}

// privateAgain is how long a client asks for streams of its own where a feed did
// not reach it.
const privateAgain = time.Minute

// reachless remembers that a feed did not reach us.
func (b *mailbox) reachless(f *inFeed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.private(f, errNoFeed.Error())
}

// private has callers of what f carries ask for streams of their own for a while.
// b.mu is held.
func (b *mailbox) private(f *inFeed, why string) {
	if _, told := b.unshared[f.desc]; !told {
		b.drops.log.write(slog.LevelWarn, "a shared feed cannot be read; asking for streams of our own",
			"rpc", f.desc.String(), "at", b.drops.who, "subject", f.subject, "why", why)
	}
	b.unshared[f.desc] = b.now() + privateAgain
}

// sharing returns the features that a call offers.
func (b *mailbox) sharing(c Call, private bool) uint64 {
	if private || !c.Kind.Streams() {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if until, known := b.unshared[c.Description]; known && b.now() < until {
		return 0
	}
	return featureFeeds
}

// joined returns the feed of a membership.
func (b *mailbox) joined(call uint64) *inFeed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.joins[call]
}

// feedFrame takes a frame in answer to a Join.
func (b *mailbox) feedFrame(frame *wire.Feed) error {
	f := b.joined(frame.Call)
	if f == nil {
		b.drops.add(dropLate, "call", frame.Call)
		return nil
	}
	if len(frame.Elements) > 0 {
		f.peer.took(flow.Cost(len(frame.Elements)), false)
	}
	return f.take(frame, false)
}

// The memberships of a peer are in its heartbeats as its calls are.

// addFeed adds a membership and joins the feed, in one, so that no heartbeat
// speaks of it before. It reports false if p is gone.
func (p *peer) addFeed(f *inFeed) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false
	}
	if p.feeds == nil {
		p.feeds = map[uint64]*inFeed{}
	}
	p.feeds[f.call] = f
	p.joins = append(p.joins, f)
	p.box.out.add(p)
	return true
}

// dropFeed ends a membership.
func (p *peer) dropFeed(f *inFeed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.feeds, f.call)
	p.idle = p.box.now()
	if !p.gone {
		p.cancels = append(p.cancels, f.call)
		p.box.out.add(p)
	}
}

// join has the newest Join of f sent.
func (p *peer) join(f *inFeed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.joins = append(p.joins, f)
	p.box.out.add(p)
}

// allFeeds returns the memberships.
func (p *peer) allFeeds() []*inFeed {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*inFeed, 0, len(p.feeds))
	for _, f := range p.feeds {
		all = append(all, f)
	}
	return all
}

// silence is for how long p has not been heard.
func (p *peer) silence(now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heard.Load() {
		return 0
	}
	return p.live.Silence(now)
}
