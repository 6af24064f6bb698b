// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// How much of a feed its readers may be behind, and how long a client waits for
// its frames: from the first Join to the second, which doubles with each, at most,
// and until it asks for a stream of its own.
const (
	inFeedBytes   = 4 << 20
	inFeedChunks  = 4096
	inFeedUpdates = 1 << 18 // each has elementRoom besides
	joinSoon      = 10 * time.Millisecond
	joinAgain     = 100 * time.Millisecond
	feedReaches   = time.Second
)

// elementRoom is the memory of a feedElement, beside its bytes: it may have none.
const elementRoom = 96

// An inFeed is the client's end of a feed: one subscription for all of its
// readers in this process. What comes is put in order, taken apart once and kept
// in a ring, where each reader has a place of its own. A reader whose place the
// ring has left is lost, and it alone.
type inFeed struct {
	box     *mailbox
	peer    *peer
	desc    Description
	name    string // of the RPC, with the client's prefix
	key     inFeedKey
	call    uint64 // the membership
	subject string
	sub     transport.Subscription
	since   time.Duration // it began

	mu      sync.Mutex // guards the fields below
	order   flow.Order[*chunk]
	ring    []*chunk
	first   uint64 // number of ring[0]; they count up from 0
	base    uint64 // position before it
	bytes   int    // in ring
	updates int    // in ring
	passed  uint64 // number of the first chunk that came since the last tick
	readers map[*watcher]struct{}
	waiting []*watcher    // to be woken by the next change
	proven  bool          // frames reach us since the last Join over this connection
	outages uint64        // of the connection, since it began
	cut     *Error        // why the last of them
	away    bool          // there is one
	adrift  bool          // nobody read when the connection was lost: what is in the ring may be of long ago
	asking  bool          // a Join was not answered yet
	queued  bool          // it is not sent yet
	asked   time.Duration // when it was
	pause   time.Duration // from then until it is repeated
	from    uint64        // with which position
	message uint64        // in which message
	unheard bool          // which nobody received: the next sign of the instance is answered by a Join
	signed  time.Duration // when one was last
	heard   time.Duration // when a frame came on the feed's subject last
	idle    time.Duration // since when there are no readers
	ending  bool          // it ends at position endAt
	endAt   uint64
	end     *Error // with which error; nil is cleanly
	over    bool
}

// An inFeedKey says which feed of which instance it is.
type inFeedKey struct{ instance, token string }

// A chunk is one frame of a feed.
type chunk struct {
	flow.Span
	size     int // of its message
	elements []feedElement
}

type feedElement struct {
	data  []byte
	place uint64 // position in the source
	fault bool   // data says why an update is missing here
	memo  memo
}

var errBadFeed = errors.New("its positions do not fit its elements")

// newChunk takes a frame apart. Its memory is in proportion to the frame.
func newChunk(f *wire.Feed) (*chunk, error) {
	count := 0
	for records := f.Elements; len(records) > 0; count++ {
		var err error
		if _, records, err = wire.NextElement(records); err != nil {
			return nil, err
		}
	}
	c := &chunk{Span: flow.Span{Before: f.Before, Last: f.Last}, size: len(f.Elements)}
	if f.Before > f.Last || len(f.Steps) > 0 && len(f.Steps) != count || len(f.Steps) == 0 && uint64(count) > f.Last-f.Before {
		return nil, errBadFeed
	}
	c.elements = make([]feedElement, count)
	place, records := f.Before, f.Elements
	for i := range c.elements {
		step := uint64(1)
		if len(f.Steps) > 0 {
			step = uint64(f.Steps[i])
		}
		if step > f.Last-place || i == 0 && step == 0 {
			return nil, errBadFeed
		}
		place += step
		c.elements[i].place = place
		c.elements[i].data, records, _ = wire.NextElement(records)
	}
	for _, i := range f.Faults {
		if uint64(i) >= uint64(count) {
			return nil, errBadFeed
		}
		c.elements[i].fault = true
	}
	return c, nil
}

// receive is the subscription's callback.
func (f *inFeed) receive(m transport.Msg) {
	for rest := m.Data; ; {
		var frame wire.Feed
		var kind wire.Kind
		var body []byte
		var err error
		kind, body, rest, err = wire.Next(rest)
		switch {
		case err == nil && kind == 0:
			return
		case err == nil && kind != wire.KindFeed:
			f.box.drops.add(dropMisplaced, "rpc", f.desc, "peer", f.key.instance, "frame", kind, "subject", m.Subject)
			continue
		case err == nil:
			err = frame.Parse(body)
		}
		if err == nil {
			err = f.take(&frame, true)
		}
		if err != nil {
			f.box.drops.add(dropOf(err), "rpc", f.desc, "peer", f.key.instance, "subject", m.Subject, "error", err)
			if rest == nil {
				return
			}
		}
	}
}

// take takes a frame of the feed, which came to all or in answer to a Join.
func (f *inFeed) take(frame *wire.Feed, toAll bool) error {
	c, err := newChunk(frame)
	if err != nil {
		return err
	}
	now := f.box.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if toAll {
		f.proven, f.heard = true, now
	}
	missing := c.Before > f.order.Have()
	if f.away { // a frame may be here before we are told that the connection is back
		f.adrift = len(f.readers) == 0
	}
	if f.adrift && missing { // of what nobody waits for
		f.begin(c.Before)
		missing = false
	}
	f.adrift = false
	f.order.Take(c.Span, c, c.size+elementRoom*len(c.elements), f.add)
	switch mark := c.Before == c.Last; {
	case !toAll && mark: // the end of the answer
		f.asking = false
		if f.order.Behind() && f.order.Have() > f.from {
			f.join(now) // for more
		}
	case toAll && f.unheard:
		f.sign(now)
	case toAll && missing && (!f.asking || now-f.asked >= joinAgain):
		f.trouble(troubleRejoined)
		f.join(now)
	}
	f.settle(now)
	f.changed()
	return nil
}

// add keeps a chunk for the readers, and lets go of what is too much. f.mu is
// held.
func (f *inFeed) add(_ flow.Span, c *chunk) {
	f.ring = append(f.ring, c)
	f.bytes += c.size
	f.updates += len(c.elements)
	for len(f.ring) > 1 && (f.bytes > inFeedBytes || f.updates > inFeedUpdates || len(f.ring) > inFeedChunks) {
		f.drop()
	}
}

func (f *inFeed) drop() {
	f.bytes -= f.ring[0].size
	f.updates -= len(f.ring[0].elements)
	f.base = f.ring[0].Last
	f.ring[0] = nil // or the slice would keep it
	f.ring = f.ring[1:]
	f.first++
}

// next is the number of the chunk that comes next. f.mu is held.
func (f *inFeed) next() uint64 { return f.first + uint64(len(f.ring)) }

// changed wakes those who wait. f.mu is held.
func (f *inFeed) changed() {
	for _, w := range f.waiting {
		w.waits = false
		signal(w.wake)
	}
	clear(f.waiting)
	f.waiting = f.waiting[:0]
}

// begin makes the feed one that begins behind position at. f.mu is held.
func (f *inFeed) begin(at uint64) {
	f.first = f.next()
	f.ring, f.bytes, f.updates, f.passed = nil, 0, 0, f.first
	f.base, f.order, f.adrift = at, flow.NewOrder[*chunk](at), false
}

// interrupted notes that the connection was lost, for readers that are told.
func (f *inFeed) interrupted(e *Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.Instance, e.CallID = f.key.instance, callID(f.box.id, f.call)
	f.outages++
	f.cut, f.away, f.proven = e, true, false
	f.changed()
}

// ends takes the instance's word that the feed ends at a position.
func (f *inFeed) ends(end *wire.End) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.ending, f.endAt, f.end = true, end.Count, nil
	if end.Error != nil {
		f.end = fromWire(end.Error, f.desc)
		if f.end.Instance == "" {
			f.end.Instance = f.key.instance
		}
	}
	f.order.Reached(f.endAt)
	now := f.box.now()
	if f.settle(now); !f.over && !f.asking {
		f.join(now)
	}
	f.changed()
}

// settle ends the feed when all before its end is here. f.mu is held.
func (f *inFeed) settle(now time.Duration) {
	if f.ending && !f.over && f.order.Have() >= f.endAt {
		f.over, f.idle = true, now
	}
}

// fail ends the feed for all its readers, after what they have.
func (f *inFeed) fail(e *Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failLocked(e)
}

func (f *inFeed) failLocked(e *Error) {
	if f.over {
		return
	}
	f.over, f.end = true, e
	if e.Code == Lost && len(f.readers) > 0 {
		f.trouble(troubleLost, "why", e.Message)
	}
	f.changed()
}

// trouble counts and logs one with the feed.
func (f *inFeed) trouble(what trouble, attrs ...any) {
	f.box.troubles.add(what, f.desc, f.key.instance, append(attrs, "call", callID(f.box.id, f.call))...)
}

func (f *inFeed) lost(why string) *Error {
	return &Error{Code: Lost, RPC: f.desc, Instance: f.key.instance, CallID: callID(f.box.id, f.call), MayHaveRun: true, Message: why}
}

// ticked reports whether the feed is not needed any more.
func (f *inFeed) ticked(now time.Duration, late, connected bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trim()
	if late || !connected {
		f.heard = now
	}
	switch {
	case f.over:
		return true
	case len(f.readers) == 0 && now-f.idle >= feedIdle:
		return true
	case now-f.heard >= flow.DeadAfter && f.peer.silence(now) < flow.DeadAfter/2: // or the instance's own end is near
		f.failLocked(f.lost(fmt.Sprintf("nothing came on the shared feed for %v; open again", flow.DeadAfter)))
	case f.order.Behind() && now-f.asked >= flow.Tick && connected:
		f.trouble(troubleRejoined)
		f.join(now)
	}
	return false
}

// trim lets go of what all readers have and nobody who is about to become one may
// need. f.mu is held.
func (f *inFeed) trim() {
	least := f.passed
	for w := range f.readers {
		least = min(least, w.next)
	}
	for f.first < least && len(f.ring) > 0 {
		f.drop()
	}
	f.passed = f.next()
}
