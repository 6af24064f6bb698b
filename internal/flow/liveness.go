// SPDX-License-Identifier: Apache-2.0

package flow

import "time"

// The timers of a pair of peers. docs/protocol.md gives the reasons.
const (
	Tick       = 250 * time.Millisecond // how often Tick should be called
	BeatEvery  = time.Second
	DeadAfter  = 5 * time.Second // of silence
	LateTick   = time.Second     // a tick this much late says that we were asleep, not the peer
	SettleTime = 3 * time.Second // after a reconnect, in which a peer may be reconnecting too
)

// How long it takes at most until a peer that died is known to be dead, beside
// what messages and timers are late: where the broker says that nobody is there,
// and where nobody says anything.
const (
	UnheardBound = BeatEvery + Tick
	SilenceBound = DeadAfter + 2*Tick
)

// A Pulse is what a tick, or news of the peer, calls for.
type Pulse uint8

// The pulses, the most urgent last.
const (
	Quiet Pulse = iota
	Beat        // send a heartbeat
	Dead        // the peer is gone
)

// Liveness watches one peer.
type Liveness struct {
	heard  time.Duration // when the peer was heard last
	beat   time.Duration // when we sent a heartbeat last
	tick   time.Duration
	settle time.Duration // until when "nobody is there" proves nothing
	doubt  doubt
}

// A doubt is how far the broker's word that nobody is there has been checked.
type doubt uint8

const (
	none    doubt = iota
	unheard       // nobody received a heartbeat
	asked         // and another was sent since
)

// NewLiveness returns the watch of a peer that was heard at now.
func NewLiveness(now time.Duration) Liveness {
	return Liveness{heard: now, beat: now, tick: now}
}

// Heard notes that the peer said something.
func (l *Liveness) Heard(now time.Duration) { l.heard, l.doubt = now, none }

// Silence is for how long the peer has not been heard, or for how long that says
// something about it.
func (l *Liveness) Silence(now time.Duration) time.Duration { return now - l.heard }

// Unheard notes that nobody was there to receive a heartbeat. The first time it
// calls for another at the next tick: a subscription may be on its way. If nobody
// receives that one either the peer is dead, unless a reconnect is settling.
func (l *Liveness) Unheard(now time.Duration) Pulse {
	l.beat = now - BeatEvery // again at the next tick
	switch {
	case now < l.settle:
	case l.doubt == asked:
		return Dead
	default:
		l.doubt = unheard
	}
	return Quiet
}

// Reconnected notes that our side of the connection was replaced: the silence
// before it was ours.
func (l *Liveness) Reconnected(now time.Duration) Pulse {
	l.settle, l.heard, l.doubt, l.beat = now+SettleTime, now, none, now
	return Beat
}

// Tick is to be called every [Tick]. Where we ourselves come late the peer gets
// its full time again: we send first and judge later.
func (l *Liveness) Tick(now time.Duration) Pulse {
	late := now-l.tick > Tick+LateTick
	l.tick = now
	switch {
	case late:
		l.heard, l.beat, l.doubt = now, now, none
		return Beat
	case now-l.heard >= DeadAfter:
		return Dead
	case now-l.beat >= BeatEvery:
		l.beat = now
		if l.doubt == unheard {
			l.doubt = asked
		}
		return Beat
	}
	return Quiet
}
