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
	doubt  int           // heartbeats in a row that nobody received
}

// NewLiveness returns the watch of a peer that was heard at now.
func NewLiveness(now time.Duration) Liveness {
	return Liveness{heard: now, beat: now, tick: now}
}

// Heard notes that the peer said something.
func (l *Liveness) Heard(now time.Duration) { l.heard, l.doubt = now, 0 }

// Unheard notes that nobody was there to receive a heartbeat. The first time it
// calls for another at the next tick: a subscription may be on its way. Twice is
// dead, unless a reconnect is settling.
func (l *Liveness) Unheard(now time.Duration) Pulse {
	l.beat = now - BeatEvery // again at the next tick
	if now < l.settle {
		return Quiet
	}
	if l.doubt++; l.doubt >= 2 {
		return Dead
	}
	return Quiet
}

// Reconnected notes that our side of the connection was replaced.
func (l *Liveness) Reconnected(now time.Duration) Pulse {
	l.settle, l.doubt, l.beat = now+SettleTime, 0, now
	return Beat
}

// Tick is to be called every [Tick]. Where we ourselves come late the peer gets
// its full time again: we send first and judge later.
func (l *Liveness) Tick(now time.Duration) Pulse {
	late := now-l.tick > Tick+LateTick
	l.tick = now
	switch {
	case late:
		l.heard, l.beat, l.doubt = now, now, 0
		return Beat
	case now-l.heard >= DeadAfter:
		return Dead
	case now-l.beat >= BeatEvery:
		l.beat = now
		return Beat
	}
	return Quiet
}
