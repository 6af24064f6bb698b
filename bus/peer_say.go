// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"github.com/durabus/durabus/internal/wire"
)

// What a client says to a peer.

// flush sends what has gathered.
func (p *peer) flush() {
	p.mu.Lock()
	say := p.gathered()
	beat, full := p.beatDue, p.full
	p.beatDue, p.full = false, false
	var calls []*inCall
	var feeds []uint64
	peerCredit := p.window.Granted()
	if beat {
		p.beats++
		full = full || p.unsure || len(p.calls) <= shortList || p.beats%fullEvery == 0
		if full {
			for _, c := range p.calls {
				calls = append(calls, c)
			}
			for call := range p.feeds {
				feeds = append(feeds, call)
			}
		}
	}
	p.mu.Unlock()

	n, frames := p.say(say, peerCredit)
	if beat {
		b := wire.Beat{From: p.box.id, Full: full, Peer: peerCredit}
		for _, c := range calls {
			b.Calls = append(b.Calls, wire.BeatCall{Call: c.id, Number: c.granted()})
		}
		for _, call := range feeds {
			b.Calls = append(b.Calls, wire.BeatCall{Call: call})
		}
		for i, part := range split(b) {
			if i > 0 {
				n = p.box.next()
			}
			p.sendBeat(n, part.Append(frames))
			frames = nil
		}
	}
	if len(frames) > 0 {
		p.sent(p.publish(n, frames))
	}
}

// split makes heartbeats of one with a long list, each for a message of its own.
func split(b wire.Beat) (parts []wire.Beat) {
	for len(b.Calls) > beatCalls {
		part := b
		part.Calls, b.Calls = b.Calls[:beatCalls], b.Calls[beatCalls:]
		parts = append(parts, part)
	}
	return append(parts, b)
}

func (p *peer) sent(err error) {
	if err != nil {
		p.box.drops.add(dropSend, "peer", p.instance, "error", err)
	}
}

// A said is what is to be said to a peer beside heartbeats.
type said struct {
	credits []*inCall
	joins   []*inFeed
	cancels []uint64
	resets  []uint64
	tell    bool // the peer credit, as nothing else does
}

// gathered returns what is to be said, and forgets it. p.mu is held.
func (p *peer) gathered() said {
	s := said{p.credits, p.joins, p.cancels, p.resets, p.tell && len(p.credits) == 0 && !p.beatDue}
	p.credits, p.joins, p.cancels, p.resets, p.tell = nil, nil, nil, nil, false
	return s
}

// say says it, but for what a last message has room for: that is returned, with its
// number.
func (p *peer) say(s said, peerCredit uint64) (n uint64, frames []byte) {
	n = p.box.next()
	room := func() {
		if len(frames) > batchSize {
			p.sent(p.publish(n, frames))
			n, frames = p.box.next(), nil
		}
	}
	for _, id := range s.cancels {
		room()
		frames = wire.Cancel{Call: id}.Append(frames)
	}
	for _, id := range s.resets {
		room()
		frames = wire.Reset{Call: id}.Append(frames)
	}
	if s.tell {
		frames = wire.Credit{Peer: peerCredit}.Append(frames)
	}
	for _, f := range s.joins {
		room()
		frames = f.joinFrame(n).Append(frames)
	}
	for _, c := range s.credits {
		room()
		frames = wire.Credit{Call: c.id, Total: c.granted(), Peer: peerCredit}.Append(frames)
	}
	return n, frames
}

// sendBeat sends a heartbeat, of which the broker may say that nobody was there, as
// message n.
func (p *peer) sendBeat(n uint64, frames []byte) {
	b := p.box
	b.mu.Lock()
	p.mu.Lock()
	ctl := p.ctl
	delete(b.probes, p.probe)
	p.probe = n
	p.mu.Unlock()
	if b.peers[p.instance] == p {
		b.probes[n] = p
	}
	b.mu.Unlock()
	if ctl == "" || !b.conn.Connected() {
		return
	}
	if err := b.conn.Publish(ctl, b.reply(n), wire.AppendNumber(frames, n)); err != nil {
		b.drops.add(dropSend, "peer", p.instance, "error", err)
	}
}

// publish sends frames to the newest address as message n. Each message brings a
// fresh address of ours, which renews what account borders and response
// permissions have granted.
func (p *peer) publish(n uint64, frames []byte) error {
	p.mu.Lock()
	ctl := p.ctl
	p.mu.Unlock()
	return p.box.conn.Publish(ctl, p.box.reply(n), wire.AppendNumber(frames, n))
}
