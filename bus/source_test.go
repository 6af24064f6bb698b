// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"testing"
)

// stamped is what a source tells after steps: E and L of the source's, t and d
// of the engine's around something that it takes.
func stamped(steps string) uint64 {
	s := &Source{soon: func() {}}
	s.Begin("epoch", 7)
	for _, step := range steps {
		switch step {
		case 'B':
			s.Begin("another", 1)
		case 'f':
			s.begin()
		case 'E':
			s.Enter()
		case 'L':
			s.Leave()
		case 't':
			s.took()
		case 'd':
			s.done(false)
		}
	}
	_, last := s.stamp()
	return last
}

func TestAPositionIsKnownOnlyBetweenUpdatesOfOneSourceOnOneGoroutine(t *testing.T) {
	for _, tt := range []struct {
		what, steps string
		want        uint64
	}{
		{"no update", "f", 7},
		{"an update", "fEtdL", 8},
		{"an update that was dropped", "fEL", 8},
		{"an update in two halves", "fEtdtdL", 8},
		{"half an update", "fEtd", 0},
		{"an update that is being sent", "fEt", 0},
		{"two updates, the second not over", "fEtdLEtd", 0},
		{"two sources", "BfEtdL", 0},
		{"a second source, later", "fEtdLB", 0},
		{"a source that is looped over before the stream", "EfLtd", 0},
		{"something that no source yields", "fEtdLtd", 0},
		{"a source that goes on while its update is sent", "fEtLd", 0},
		{"a source that yields while its update is sent", "fEtdLtEd", 0},
		{"two loops over sources", "fEEtdL", 0},
		{"updates through another goroutine", "fELtd", 0},
	} {
		if got := stamped(tt.steps); got != tt.want {
			t.Errorf("%s: position %d, want %d", tt.what, got, tt.want)
		}
	}
}

func TestAPositionThatWasNotKnownIsToldOnceTheUpdateIsOver(t *testing.T) {
	told := 0
	s := &Source{soon: func() { told++ }}
	s.Begin("epoch", 7)
	s.begin()
	s.Enter()
	s.took()
	s.done(false)
	if before, last := s.stamp(); before != 0 || last != 0 || s.owes() {
		t.Errorf("within an update: %d to %d, owed %v", before, last, s.owes())
	}
	s.Leave()
	if !s.owes() || told != 1 {
		t.Errorf("after it: owed %v, told %d times", s.owes(), told)
	}
	if before, last := s.stamp(); before != 7 || last != 8 || s.owes() {
		t.Errorf("after it: %d to %d, owed %v", before, last, s.owes())
	}
}

func TestASourceThatIsNotTheOneAskedForIsNotTakenUp(t *testing.T) {
	for _, tt := range []struct {
		what  string
		begin func(*Source)
		want  bool
	}{
		{"the one", func(s *Source) { s.Begin("epoch", 7) }, true},
		{"another epoch", func(s *Source) { s.Begin("other", 7) }, false},
		{"another position", func(s *Source) { s.Begin("epoch", 8) }, false},
		{"none", func(*Source) {}, false},
		{"the one and another", func(s *Source) { s.Begin("epoch", 7); s.Begin("other", 7) }, false},
		{"the one, but looped over by another goroutine", func(s *Source) { s.Begin("epoch", 7); s.Enter() }, false},
	} {
		s := &Source{epoch: "epoch", after: 7}
		tt.begin(s)
		if _, _, ok := s.begin(); ok != tt.want {
			t.Errorf("%s: taken up %v", tt.what, ok)
		}
	}
}

func TestOutsideAServerASourceTalksToNobody(t *testing.T) {
	s := SourceOf(context.Background())
	s.Begin("epoch", 1)
	s.Enter()
	s.Leave()
	if epoch, position := s.Asked(); epoch != "" || position != 0 || !s.WantsState() {
		t.Errorf("asked for %q, %d", epoch, position)
	}
}

func TestAReaderStandsBetweenFramesThatFollowEachOther(t *testing.T) {
	for _, tt := range []struct {
		what   string
		frames [][2]uint64 // before and last
		ok     bool        // they follow each other
		known  bool
		at     uint64
	}{
		{"none", nil, true, true, 7},
		{"one", [][2]uint64{{7, 9}}, true, true, 9},
		{"two", [][2]uint64{{7, 9}, {9, 10}}, true, true, 10},
		{"one without positions", [][2]uint64{{0, 0}}, true, false, 7},
		{"one without positions, made good", [][2]uint64{{0, 0}, {7, 9}}, true, true, 9},
		{"a gap", [][2]uint64{{8, 9}}, false, true, 7},
		{"an overlap", [][2]uint64{{7, 9}, {8, 10}}, false, true, 9},
		{"backwards", [][2]uint64{{7, 6}}, false, true, 7},
	} {
		p, ok := progress{at: place{epoch: "epoch", position: 7, known: true}}, true
		for _, f := range tt.frames {
			a := arrival{before: f[0], last: f[1]}
			if ok = p.at.goesOn(a); ok {
				p.taking()
				p.took(a)
			}
		}
		if at := p.place(); ok != tt.ok || at.known != tt.known || at.position != tt.at {
			t.Errorf("%s: ok %v, at %+v", tt.what, ok, at)
		}
	}
}
