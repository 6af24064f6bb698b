// SPDX-License-Identifier: Apache-2.0

package staterpc

import (
	"slices"
	"testing"
)

// keeping returns a publisher of sums that has published 1 to n.
func keeping(b Backlog[int], n int) *Publisher[int, int] {
	p := NewPublisher(0, add, 10).Keep(b)
	for i := range n {
		p.Publish(i + 1)
	}
	return p
}

func TestABacklogIsBoundInUpdatesAndBytes(t *testing.T) {
	itself := func(n int) int { return n }
	for _, tt := range []struct {
		what string
		Backlog[int]
		want []int
	}{
		{"nothing", Backlog[int]{}, nil},
		{"updates", Backlog[int]{Updates: 3}, []int{4, 5, 6}},
		{"more than there are", Backlog[int]{Updates: 30}, []int{1, 2, 3, 4, 5, 6}},
		{"bytes", Backlog[int]{Updates: 30, Bytes: 12, Size: itself}, []int{5, 6}},
		{"updates before bytes", Backlog[int]{Updates: 1, Bytes: 12, Size: itself}, []int{6}},
		{"fewer bytes than any update has", Backlog[int]{Updates: 30, Bytes: 2, Size: itself}, nil},
		{"bytes that nobody counts", Backlog[int]{Updates: 2, Bytes: 1}, []int{5, 6}},
	} {
		p := keeping(tt.Backlog, 6)
		if !slices.Equal(p.history.kept, tt.want) {
			t.Errorf("%s: kept %v, want %v", tt.what, p.history.kept, tt.want)
		}
		sum := p.history.base
		for _, u := range p.history.kept {
			sum += u
		}
		if tt.Updates > 0 && sum != 21 {
			t.Errorf("%s: the state before what is kept, %d, is wrong", tt.what, p.history.base)
		}
	}
}

func TestABacklogReachesBackAsFarAsItIsWholeAndItsOwn(t *testing.T) {
	p := keeping(Backlog[int]{Updates: 3}, 6)
	own := p.history.epoch
	for _, tt := range []struct {
		epoch    string
		position uint64
		ok       bool
		missed   []int
	}{
		{own, 3, true, []int{4, 5, 6}},
		{own, 5, true, []int{6}},
		{own, 6, true, nil},
		{own, 2, false, nil},
		{own, 7, false, nil},
		{own, 1<<64 - 1, false, nil},
		{"another", 6, false, nil},
		{"", 6, false, nil},
	} {
		before, missed, ok := p.history.since(tt.epoch, tt.position, p.position)
		if ok != tt.ok || !slices.Equal(missed, tt.missed) || ok && len(before)+len(missed) != 3 {
			t.Errorf("%q, %d: got %v, %v, %v", tt.epoch, tt.position, before, missed, ok)
		}
	}
	none := keeping(Backlog[int]{}, 6)
	if _, missed, ok := none.history.since(none.history.epoch, 6, 6); !ok || len(missed) > 0 {
		t.Error("who has all cannot go on at a publisher that keeps nothing")
	}
	if _, _, ok := none.history.since(none.history.epoch, 5, 6); ok {
		t.Error("a publisher that keeps nothing says to have an update")
	}
	if another := keeping(Backlog[int]{Updates: 3}, 6); another.history.epoch == own {
		t.Error("two publishers have one epoch")
	}
}

func TestWhatAWatcherMissedStaysAsItWasWhileOthersPublish(t *testing.T) {
	p := keeping(Backlog[int]{Updates: 3}, 6)
	before, missed, _ := p.history.since(p.history.epoch, 4, p.position)
	for n := range 100 {
		p.Publish(n)
	}
	if !slices.Equal(before, []int{4}) || !slices.Equal(missed, []int{5, 6}) {
		t.Errorf("got %v and %v", before, missed)
	}
}
