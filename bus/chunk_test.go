// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"testing"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

func records(n int) []byte {
	var b wire.Batch
	for i := range n {
		b.AppendBytes([]byte{byte(i)})
	}
	return b.Records()
}

func TestAFrameOfAFeedIsTakenOnlyIfItsPositionsFitItsElements(t *testing.T) {
	for _, tt := range []struct {
		what string
		wire.Feed
		places []uint64 // none: it is refused
	}{
		{"one position each", wire.Feed{Before: 4, Last: 6, Elements: records(2)}, []uint64{5, 6}},
		{"updates dropped at the end", wire.Feed{Before: 4, Last: 9, Elements: records(2)}, []uint64{5, 6}},
		{"dropped and split", wire.Feed{Before: 4, Last: 9, Steps: []uint32{2, 0, 3}, Elements: records(3)}, []uint64{6, 6, 9}},
		{"more elements than positions", wire.Feed{Before: 4, Last: 5, Elements: records(2)}, nil},
		{"elements beyond the last position", wire.Feed{Before: 4, Last: 6, Steps: []uint32{1, 2}, Elements: records(2)}, nil},
		{"an element of an update before", wire.Feed{Before: 4, Last: 6, Steps: []uint32{0, 1}, Elements: records(2)}, nil},
		{"more steps than elements", wire.Feed{Before: 4, Last: 9, Steps: []uint32{1, 1, 1}, Elements: records(2)}, nil},
		{"fewer steps than elements", wire.Feed{Before: 4, Last: 9, Steps: []uint32{1}, Elements: records(2)}, nil},
		{"backwards", wire.Feed{Before: 6, Last: 4}, nil},
		{"backwards, with elements", wire.Feed{Before: 6, Last: 4, Elements: records(2)}, nil},
		{"a fault that is no element", wire.Feed{Before: 4, Last: 6, Faults: []uint32{2}, Elements: records(2)}, nil},
		{"an element cut off", wire.Feed{Before: 4, Last: 6, Elements: records(2)[:5]}, nil},
	} {
		c, err := newChunk(&tt.Feed)
		if (err == nil) != (tt.places != nil) {
			t.Errorf("%s: %v", tt.what, err)
			continue
		}
		for i, want := range tt.places {
			if got := &c.elements[i]; got.place != want || got.data[0] != byte(i) {
				t.Errorf("%s: element %d is %v at %d, want %d", tt.what, i, got.data, got.place, want)
			}
		}
	}
}

func TestStepsSayWhereElementsStand(t *testing.T) {
	for _, places := range [][]uint64{{5, 6, 7}, {5}, {6}, {5, 5, 6}, {7, 7, 20}} {
		f := wire.Feed{Before: 4, Last: 30, Steps: steps(4, places), Elements: records(len(places))}
		c, err := newChunk(&f)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range places {
			if c.elements[i].place != want {
				t.Errorf("%v: element %d at %d", places, i, c.elements[i].place)
			}
		}
	}
}

func TestAReaderBeginsInTheMiddleOfAFrameWhereItsStateIs(t *testing.T) {
	f := &inFeed{
		box: newMailbox(transport.NewNet(1).Dial()), order: flow.NewOrder[*chunk](4), base: 4, readers: map[*watcher]struct{}{},
	}
	for _, frame := range []wire.Feed{
		{Before: 4, Last: 9, Steps: []uint32{1, 1, 0, 1, 1}, Elements: records(5)}, // at 5, 6, 6, 7, 8
		{Before: 9, Last: 10, Elements: records(1)},
	} {
		if err := f.take(&frame, true); err != nil {
			t.Fatal(err)
		}
	}
	f.fail(f.lost("over"))
	w := &watcher{feed: f, have: 6, at: &progress{at: place{epoch: "e", position: 6, known: true}}}
	var got []byte
	err := w.updates(t.Context(), func(e Element, _ error) bool {
		if at := w.at.place(); at.known || at.position != []uint64{6, 6, 9}[len(got)] {
			t.Errorf("while it takes element %v it stands at %+v", e.data, at)
		}
		got = append(got, e.data...)
		return true
	})
	if string(got) != "\x03\x04\x00" || err.(*Error).Code != Lost {
		t.Errorf("a reader at 6 got elements %v, and %v", got, err)
	}
}
