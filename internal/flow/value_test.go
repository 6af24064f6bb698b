// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"bytes"
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

// FuzzValue cuts a value into pieces, of which some are too long.
func FuzzValue(f *testing.F) {
	f.Add([]byte("the value"), uint16(9), []byte{1, 2, 3, 4})
	f.Add([]byte("the value"), uint16(5), []byte{9, 9})
	f.Add([]byte(""), uint16(0), []byte{0})
	f.Fuzz(func(t *testing.T, data []byte, total uint16, cuts []byte) {
		var v flow.Value
		var have []byte
		rest, begun := data, false
		for _, c := range cuts {
			piece := rest[:min(int(c), len(rest))]
			var ok bool
			if fits := len(have)+len(piece) <= int(total); begun {
				if ok = v.Add(piece); ok != fits {
					t.Fatalf("a piece of %d to %d of %d: %t", len(piece), len(have), total, ok)
				}
			} else if ok = v.Begin(uint64(total), piece); ok != fits {
				t.Fatalf("beginning with %d of %d: %t", len(piece), total, ok)
			}
			if ok {
				begun, have, rest = true, append(have, piece...), rest[len(piece):]
			}
			if v.Partial() != (begun && len(have) < int(total)) {
				t.Fatalf("Partial is %t with %d of %d", v.Partial(), len(have), total)
			}
			if got, whole := v.Take(); whole {
				if len(have) != int(total) || !bytes.Equal(got, have) {
					t.Fatalf("whole with %d of %d", len(have), total)
				}
				return
			} else if begun && len(have) == int(total) {
				t.Fatal("not whole with all of it")
			}
		}
	})
}
