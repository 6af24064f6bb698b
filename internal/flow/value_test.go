// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"testing"

	"github.com/durabus/durabus/internal/flow"
)

func TestAValueIsWholeWhenAllOfItIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		total  uint64
		pieces []string
		taken  []bool // whether each piece fits
		want   string // "" where it never is whole
	}{
		"at once":           {5, []string{"hello"}, []bool{true}, "hello"},
		"in pieces":         {5, []string{"he", "l", "lo"}, []bool{true, true, true}, "hello"},
		"from nothing":      {5, []string{"", "hello"}, []bool{true, true}, "hello"},
		"with nothing":      {5, []string{"hel", "", "lo"}, []bool{true, true, true}, "hello"},
		"not yet":           {6, []string{"he", "llo"}, []bool{true, true}, ""},
		"more than it says": {4, []string{"hello"}, []bool{false}, ""},
		"too long a piece":  {5, []string{"he", "llow", "llo"}, []bool{true, false, true}, "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			var v flow.Value
			for i, piece := range c.pieces {
				add := v.Add
				if i == 0 {
					add = func(piece []byte) bool { return v.Begin(c.total, piece) }
				}
				if got := add([]byte(piece)); got != c.taken[i] {
					t.Fatalf("piece %q: %t", piece, got)
				}
				last := i == len(c.pieces)-1
				if partial := c.taken[0] && (!last || c.want == ""); v.Partial() != partial {
					t.Fatalf("after %q Partial is %t", piece, v.Partial())
				}
				if data, whole := v.Take(); whole != (last && c.want != "") || string(data) != c.want && whole {
					t.Fatalf("after %q: %q, whole %t", piece, data, whole)
				}
			}
		})
	}
}

func TestAnEmptyValueIsWhole(t *testing.T) {
	var v flow.Value
	if !v.Begin(0, nil) || v.Partial() {
		t.Error("an empty value does not begin whole")
	}
	if data, whole := v.Take(); !whole || len(data) != 0 {
		t.Errorf("%q, whole %t", data, whole)
	}
}

func TestNoPieceBelongsToNoValue(t *testing.T) {
	var v flow.Value
	if v.Add([]byte("x")) || v.Add(nil) {
		t.Error("a piece was added to nothing")
	}
	if _, whole := v.Take(); whole || v.Partial() {
		t.Error("there is a value though none began")
	}
}

func TestAValueDoesNotBeginWithinAnother(t *testing.T) {
	var v flow.Value
	v.Begin(3, []byte("a"))
	if v.Begin(1, []byte("b")) {
		t.Error("another began")
	}
	v.Add([]byte("bc"))
	if v.Begin(1, []byte("b")) {
		t.Error("another began before the whole one was taken")
	}
	if data, _ := v.Take(); string(data) != "abc" {
		t.Errorf("it became %q", data)
	}
	if !v.Begin(1, []byte("b")) {
		t.Error("no other began after it was taken")
	}
}

func TestAValueInPiecesIsACopyOfTheSizeAnnounced(t *testing.T) {
	var v flow.Value
	piece := []byte("ab")
	v.Begin(4, piece)
	piece[0] = 'X'
	v.Add([]byte("cd"))
	if data, _ := v.Take(); string(data) != "abcd" || cap(data) != 4 {
		t.Errorf("%q with room for %d", data, cap(data))
	}
}

func TestAValueThatComesWholeIsNotCopied(t *testing.T) {
	var v flow.Value
	piece := []byte("ab")
	v.Begin(2, piece)
	if data, _ := v.Take(); len(data) != 2 || &data[0] != &piece[0] {
		t.Errorf("%q is a copy", data)
	}
}
