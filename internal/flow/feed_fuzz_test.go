// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// A feedRun is a feed with a network that loses, repeats and reorders, one member
// that puts together what comes, and a ring that it asks for what it missed.
type feedRun struct {
	t     *testing.T
	ring  Ring
	order Order[[]byte]
	now   time.Duration
	wire  []Held // on their way
	got   uint64 // the position that the member's reader has come to
}

// publish adds a frame of n updates. Its data are their positions.
func (r *feedRun) publish(n int) {
	before := r.ring.Last()
	var data []byte
	for i := range n {
		data = append(data, byte(before+uint64(i)+1))
	}
	r.now++
	r.ring.Add(before+uint64(n), data, r.now)
	r.wire = append(r.wire, Held{Span: Span{Before: before, Last: before + uint64(n)}, Data: data})
}

// deliver checks what the reader gets: every update, once, in order.
func (r *feedRun) deliver(s Span, data []byte) {
	if s.Before > r.got || s.Last <= r.got {
		r.t.Fatalf("at %d, a frame from %d to %d was delivered", r.got, s.Before, s.Last)
	}
	for _, b := range data[r.got-s.Before:] {
		if r.got++; byte(r.got) != b {
			r.t.Fatalf("update %d was delivered in the place of %d", b, byte(r.got))
		}
	}
}

func (r *feedRun) take(h Held) { r.order.Take(h.Span, h.Data, len(h.Data), r.deliver) }

func (r *feedRun) step(b byte) {
	n := int(b >> 3)
	at := 0
	if len(r.wire) > 0 {
		at = n % len(r.wire)
	}
	switch {
	case b&7 < 2:
		r.publish(n%5 + 1)
	case b&7 == 2:
		r.ring.Expire(r.now - time.Duration(n))
	case b&7 == 3: // a mark
		r.order.Reached(r.ring.Last())
	case b&7 == 4:
		r.repair()
	case len(r.wire) == 0:
	case b&7 == 5: // whichever arrives
		r.take(r.wire[at])
		r.wire = slices.Delete(r.wire, at, at+1)
	case b&7 == 6: // a repeated one arrives
		r.take(r.wire[at])
	case b&7 == 7: // one is lost
		r.wire = slices.Delete(r.wire, at, at+1)
	}
	if r.order.Have() != r.got {
		r.t.Fatalf("delivered up to %d, said to be %d", r.got, r.order.Have())
	}
}

// repair asks the ring for what is missing, and reports whether it was there. The
// member of a feed that cannot go on begins anew.
func (r *feedRun) repair() bool {
	missed, ok := r.ring.Since(r.order.Have())
	for _, h := range missed {
		r.take(h)
	}
	if ok && r.order.Have() != r.ring.Last() {
		r.t.Fatalf("repaired up to %d of %d", r.order.Have(), r.ring.Last())
	}
	if !ok {
		r.order, r.got, r.wire = NewOrder[[]byte](r.ring.Last()), r.ring.Last(), nil
	}
	return ok
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte{0, 5, 8, 5, 16, 5})
	f.Add([]byte{0, 8, 16, 24, 0xfd, 0x0d, 7, 4, 3})
	f.Add([]byte{0, 8, 16, 7, 7, 7, 3, 4, 0, 6, 5, 10, 0, 4})
	f.Add([]byte{0x20, 0x20, 0x20, 0x20, 0x20, 7, 0x0d, 5, 5, 4, 0x20, 6, 5})
	f.Fuzz(func(t *testing.T, steps []byte) {
		r := feedRun{t: t, ring: NewRing(7, 32), order: NewOrder[[]byte](7), got: 7}
		for _, b := range steps {
			r.step(b)
			if r.ring.Bytes() > 32 {
				t.Fatalf("a ring of 32 bytes holds %d", r.ring.Bytes())
			}
		}
		r.order.Reached(r.ring.Last())
		if r.order.Behind() && r.repair() && r.order.Behind() {
			t.Fatalf("at %d of %d after all was repaired", r.order.Have(), r.ring.Last())
		}
	})
}

// FuzzOrder puts frames in order that a feed of ours would not send: any spans of any
// size. What is delivered goes on where the one before it ended, nothing twice, and
// what waits for its turn is bounded.
func FuzzOrder(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 2, 1, 1, 3, 1, 0, 9, 1}, uint64(0))
	f.Add([]byte{5, 0, 9, 3, 0xff, 9, 3, 0x10, 0, 0, 3, 0xff}, uint64(1<<64-9))
	f.Add(bytes.Repeat([]byte{200, 0xf0, 0xff}, 40), uint64(1<<63))
	f.Fuzz(func(t *testing.T, steps []byte, start uint64) {
		o := NewOrder[int](start)
		at, top, kept := start, start, 0
		for ; len(steps) >= 3; steps = steps[3:] {
			s := Span{Before: at + uint64(int8(steps[0])), Last: at + uint64(int8(steps[1]))}
			size := int(steps[2]) << 12
			delivered := 0
			whole := o.Take(s, size, size, func(s Span, size int) {
				if s.Before > at || s.Last <= at {
					t.Fatalf("at %d, a frame from %d to %d was delivered", at, s.Before, s.Last)
				}
				at = s.Last
				delivered += size
			})
			if s.Before <= s.Last {
				top = max(top, s.Last)
				kept += size
			}
			if kept -= delivered; kept < 0 {
				t.Fatalf("%d bytes more were delivered than came", -kept)
			}
			if o.Have() != at || whole == o.Behind() || o.Behind() != (at < top) {
				t.Fatalf("at %d of %d: Have %d, whole %t, behind %t", at, top, o.Have(), whole, o.Behind())
			}
			if steps[2] == 0xff {
				top = max(top, at+uint64(steps[1]))
				o.Reached(at + uint64(steps[1]))
			}
		}
		if o.Behind() { // one frame has all that is missing
			o.Take(Span{Before: at, Last: top}, 0, 0, func(Span, int) {})
		}
		if o.Behind() || o.Have() != top {
			t.Fatalf("at %d of %d after all came", o.Have(), top)
		}
	})
}
