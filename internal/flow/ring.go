// SPDX-License-Identifier: Apache-2.0

package flow

import "time"

// A Ring holds the last frames of a feed, each going on where the one before it
// ends, for those who missed some. It is made with [NewRing].
type Ring struct {
	max, bytes int
	base, last uint64
	held       []Held
}

// A Held is a frame in a ring.
type Held struct {
	Span
	Data []byte
	At   time.Duration // when it was added
}

// NewRing returns an empty ring at position, for frames of max bytes in all.
func NewRing(position uint64, max int) Ring { return Ring{max: max, base: position, last: position} }

// Last is the position that the feed has come to.
func (r *Ring) Last() uint64 { return r.last }

// Base is the position behind which all is here.
func (r *Ring) Base() uint64 { return r.base }

// Bytes is how much is held.
func (r *Ring) Bytes() int { return r.bytes }

// Add adds the frame that goes on to position last and lets go of what is too
// much, data itself if it alone is.
func (r *Ring) Add(last uint64, data []byte, now time.Duration) {
	r.held = append(r.held, Held{Span{r.last, last}, data, now})
	r.last = last
	r.bytes += len(data)
	for r.bytes > r.max {
		r.drop()
	}
}

// Expire lets go of what was added before t.
func (r *Ring) Expire(t time.Duration) {
	for len(r.held) > 0 && r.held[0].At < t {
		r.drop()
	}
}

func (r *Ring) drop() {
	r.bytes -= len(r.held[0].Data)
	r.base = r.held[0].Last
	r.held[0] = Held{} // or the slice would keep it
	r.held = r.held[1:]
}

// Since returns the frames with what is behind position, oldest first. They are
// valid until the ring changes. It reports false if some of it is not here any
// more. A position that the feed has yet to come to misses nothing.
func (r *Ring) Since(position uint64) ([]Held, bool) {
	if position < r.base {
		return nil, false
	}
	n := len(r.held)
	for n > 0 && r.held[n-1].Last > position {
		n--
	}
	return r.held[n:], true
}
