// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"slices"
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

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

func TestAMarkTellsOfWhatIsMissingAndNonsenseDoesNot(t *testing.T) {
	deliver := func(flow.Span, int) {}
	o := flow.NewOrder[int](4)
	if o.Take(flow.Span{Before: 9, Last: 8}, 0, 1, deliver); o.Behind() {
		t.Error("a frame that ends before it begins is believed")
	}
	if whole := o.Take(flow.Span{Before: 9, Last: 9}, 0, 1, deliver); whole || !o.Behind() {
		t.Error("a mark beyond what came says nothing of what is missing")
	}
	if o.Reached(8); o.Have() != 4 || !o.Behind() {
		t.Error("an older word is believed more than a newer one")
	}
}

func TestAFrameIsNotDeliveredAgainFromAmongThoseThatWaited(t *testing.T) {
	var got []string
	deliver := func(_ flow.Span, s string) { got = append(got, s) }
	o := flow.NewOrder[string](0)
	o.Take(flow.Span{Before: 2, Last: 4}, "short", 1, deliver)
	o.Take(flow.Span{Before: 2, Last: 4}, "short again", 1, deliver)
	o.Take(flow.Span{Before: 2, Last: 6}, "long", 1, deliver)
	o.Take(flow.Span{Before: 2, Last: 5}, "between", 1, deliver)
	o.Take(flow.Span{Before: 0, Last: 4}, "first", 1, deliver)
	if want := []string{"first", "long"}; !slices.Equal(got, want) || o.Have() != 6 || o.Behind() {
		t.Errorf("delivered %q up to %d, want %q", got, o.Have(), want)
	}
}

func TestWhatWaitsForItsTurnIsPutInOrderAndARepeatTakesNoRoom(t *testing.T) {
	var got []uint64
	deliver := func(s flow.Span, _ int) { got = append(got, s.Last) }
	o := flow.NewOrder[int](0)
	for range 300 {
		for _, last := range []uint64{5, 3, 4, 2} {
			o.Take(flow.Span{Before: last - 1, Last: last}, 0, 1, deliver)
		}
	}
	o.Take(flow.Span{Before: 5, Last: 6}, 0, 1, deliver)
	if whole := o.Take(flow.Span{Before: 0, Last: 1}, 0, 1, deliver); !whole || !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6}) {
		t.Errorf("delivered up to %d", got)
	}
}

func TestWhatWaitsForItsTurnIsBoundedInBytesAndMakesRoom(t *testing.T) {
	const most = 4 << 20
	n := 0
	deliver := func(flow.Span, int) { n++ }
	o := flow.NewOrder[int](0)
	for round := range uint64(3) {
		at := 3 * round
		o.Take(flow.Span{Before: at + 1, Last: at + 2}, 0, most, deliver)
		o.Take(flow.Span{Before: at + 2, Last: at + 3}, 0, 1, deliver) // for which there is no room
		if n = 0; o.Take(flow.Span{Before: at, Last: at + 1}, 0, 1, deliver) || n != 2 || o.Have() != at+2 {
			t.Fatalf("round %d: %d frames were delivered, up to %d", round, n, o.Have())
		}
		o.Take(flow.Span{Before: at + 2, Last: at + 3}, 0, 1, deliver)
	}
}

func TestARingKeepsWhatIsJustNotTooMuchNorTooOld(t *testing.T) {
	r := flow.NewRing(0, 100)
	r.Add(1, make([]byte, 40), 5)
	r.Add(2, make([]byte, 60), 6)
	if r.Base() != 0 || r.Bytes() != 100 {
		t.Errorf("a ring of 100 bytes holds %d, behind %d", r.Bytes(), r.Base())
	}
	if r.Expire(5); r.Base() != 0 {
		t.Error("what was added at a moment was let go of as if before it")
	}
	if r.Expire(6); r.Base() != 1 || r.Bytes() != 60 {
		t.Errorf("behind %d it holds %d bytes", r.Base(), r.Bytes())
	}
	if held, ok := r.Since(2); !ok || len(held) != 0 {
		t.Errorf("who has all is sent %d frames", len(held))
	}
	for range 2 { // the second time there is nothing
		if r.Expire(7); r.Base() != 2 || r.Bytes() != 0 {
			t.Errorf("behind %d it holds %d bytes", r.Base(), r.Bytes())
		}
	}
}
