// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math"
	"time"

	"github.com/durabus/durabus/internal/wire"
)

// This file is when a client joins a feed, and what it takes for proof that it has
// to do so again.

// join asks to be a member and for what is missing. f.mu is held.
func (f *inFeed) join(now time.Duration) {
	f.asking, f.unheard, f.asked = true, false, now
	if !f.queued {
		f.queued = true
		f.peer.join(f)
	}
}

// joinFrame says what the newest Join does, which goes into message n. Where nobody
// waits for what was missed none of it is asked for.
func (f *inFeed) joinFrame(n uint64) wire.Join {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queued, f.message, f.from = false, n, f.order.Have()
	if f.adrift {
		f.from = math.MaxUint64
	}
	return wire.Join{Call: f.call, Feed: f.key.token, From: f.from}
}

// repeat joins once more where the newest Join has had its time, and returns how
// long to wait for what comes of it.
func (f *inFeed) repeat() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.box.now()
	if now-f.asked >= f.pause && !f.over {
		f.pause = min(2*f.pause, joinAgain)
		f.join(now)
	}
	return max(f.asked+f.pause-now, 0)
}

// nobody takes the broker's word that nobody received message n. If it had the
// newest Join the instance is waited for, which may have been heard since.
func (f *inFeed) nobody(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.message != n || f.queued {
		return
	}
	f.asking, f.unheard = false, true
	if f.heard > f.asked {
		f.sign(f.box.now())
	}
}

// sign takes a sign of the instance: if the newest Join did not find it another
// will, or there is none for a while. f.mu is held.
func (f *inFeed) sign(now time.Duration) {
	if f.unheard && !f.over && (f.signed == 0 || now-f.signed >= joinAgain) {
		f.signed = now
		f.join(now)
	}
}

// rejoin joins anew, after the connection was made again.
func (f *inFeed) rejoin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.box.now()
	f.proven, f.heard, f.away, f.pause = false, now, false, joinSoon
	f.adrift = len(f.readers) == 0
	if !f.over {
		f.join(now)
	}
}

// reset takes the instance's word that it knows of no such membership: a Join was
// lost or, if it was told so before the Join that is on its way, it has forgotten
// this client.
func (f *inFeed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.over:
	case f.asking:
		f.failLocked(f.lost("the responder has forgotten this client; open again"))
	default:
		f.join(f.box.now())
	}
}

// reached takes the instance's word that it has published up to position top,
// some of which may be on its way.
func (f *inFeed) reached(top uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.adrift {
		f.order.Reached(top)
	}
	f.sign(f.box.now())
}
