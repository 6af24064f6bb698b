// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"slices"
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

// A feedRun is a feed with a network that loses, repeats and reorders, one member
// that puts together what comes, and a ring that it asks for what it missed.
type feedRun struct {
	t     *testing.T
	ring  flow.Ring
	order flow.Order[[]byte]
	now   time.Duration
	wire  []flow.Held // on their way
	got   uint64      // the position that the member's reader has come to
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
	r.wire = append(r.wire, flow.Held{Span: flow.Span{Before: before, Last: before + uint64(n)}, Data: data})
}

// deliver checks what the reader gets: every update, once, in order.
func (r *feedRun) deliver(s flow.Span, data []byte) {
	if s.Before > r.got || s.Last <= r.got {
		r.t.Fatalf("at %d, a frame from %d to %d was delivered", r.got, s.Before, s.Last)
	}
	for _, b := range data[r.got-s.Before:] {
		if r.got++; byte(r.got) != b {
			r.t.Fatalf("update %d was delivered in the place of %d", b, byte(r.got))
		}
	}
}

func (r *feedRun) take(h flow.Held) { r.order.Take(h.Span, h.Data, len(h.Data), r.deliver) }

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
		r.order, r.got, r.wire = flow.NewOrder[[]byte](r.ring.Last()), r.ring.Last(), nil
	}
	return ok
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte{0, 5, 8, 5, 16, 5})
	f.Add([]byte{0, 8, 16, 24, 0xfd, 0x0d, 7, 4, 3})
	f.Add([]byte{0, 8, 16, 7, 7, 7, 3, 4, 0, 6, 5, 10, 0, 4})
	f.Add([]byte{0x20, 0x20, 0x20, 0x20, 0x20, 7, 0x0d, 5, 5, 4, 0x20, 6, 5})
	f.Fuzz(func(t *testing.T, steps []byte) {
		r := feedRun{t: t, ring: flow.NewRing(7, 32), order: flow.NewOrder[[]byte](7), got: 7}
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

func TestAFrameThatIsMissingIsNoticedByWhatComesBehindIt(t *testing.T) {
	var got []string
	deliver := func(_ flow.Span, s string) { got = append(got, s) }
	o := flow.NewOrder[string](4)
	for _, s := range []struct {
		flow.Span
		frame string
		whole bool
	}{
		{flow.Span{Before: 2, Last: 3}, "old", true},
		{flow.Span{Before: 3, Last: 6}, "begins before", true},
		{flow.Span{Before: 8, Last: 9}, "third", false},
		{flow.Span{Before: 9, Last: 8}, "nonsense", false},
		{flow.Span{Before: 9, Last: 9}, "a mark", false},
		{flow.Span{Before: 6, Last: 7}, "first", false},
		{flow.Span{Before: 7, Last: 8}, "second", true},
	} {
		if whole := o.Take(s.Span, s.frame, 1, deliver); whole != s.whole {
			t.Errorf("after %q: whole %v", s.frame, whole)
		}
	}
	if want := []string{"begins before", "first", "second", "third"}; !slices.Equal(got, want) || o.Have() != 9 {
		t.Errorf("delivered %q up to %d, want %q", got, o.Have(), want)
	}
}

func TestWhatWaitsForItsTurnIsBounded(t *testing.T) {
	const size = 4 << 10
	o := flow.NewOrder[int](0)
	for i := range uint64(1000) { // of which the first is missing
		o.Take(flow.Span{Before: i + 1, Last: i + 2}, 0, size, func(flow.Span, int) { t.Fatal("delivered") })
	}
	n := 0
	o.Take(flow.Span{Before: 0, Last: 1}, 0, size, func(flow.Span, int) { n++ })
	if n != 257 || !o.Behind() || o.Have() != 257 {
		t.Errorf("%d frames were delivered, up to %d", n, o.Have())
	}
}

func TestARingIsBoundedInBytesAndAge(t *testing.T) {
	r := flow.NewRing(10, 100)
	for i := range 5 {
		r.Add(r.Last()+2, make([]byte, 30), time.Duration(i))
	}
	if held, ok := r.Since(14); !ok || len(held) != 3 || held[0].Before != 14 || r.Base() != 14 || r.Bytes() != 90 {
		t.Errorf("since 14: %v, %v; base %d, %d bytes", held, ok, r.Base(), r.Bytes())
	}
	if _, ok := r.Since(13); ok {
		t.Error("the ring says to have what it let go of")
	}
	if held, ok := r.Since(17); !ok || len(held) != 2 {
		t.Errorf("within a frame: %d held, %v", len(held), ok)
	}
	if held, ok := r.Since(25); !ok || len(held) != 0 {
		t.Errorf("ahead of the feed: %d held, %v", len(held), ok)
	}
	r.Expire(4)
	if held, _ := r.Since(18); len(held) != 1 || r.Base() != 18 {
		t.Errorf("%d held behind %d", len(held), r.Base())
	}
	r.Add(30, make([]byte, 101), 5)
	if held, ok := r.Since(30); !ok || len(held) != 0 || r.Base() != 30 || r.Bytes() != 0 {
		t.Errorf("a frame beyond the ring: base %d, %d bytes", r.Base(), r.Bytes())
	}
}
