// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"bytes"
	"testing"
)

// FuzzValue cuts a value into pieces, of which some are too long.
func FuzzValue(f *testing.F) {
	f.Add([]byte("the value"), uint16(9), []byte{1, 2, 3, 4})
	f.Add([]byte("the value"), uint16(5), []byte{9, 9})
	f.Add([]byte(""), uint16(0), []byte{0})
	f.Fuzz(func(t *testing.T, data []byte, total uint16, cuts []byte) {
		var v Value
		var have []byte
		rest, begun := data, false
		for _, c := range cuts {
			piece := rest[:min(int(c), len(rest))]
			if begun && c&0x80 > 0 && v.Begin(uint64(c), piece) {
				t.Fatal("a value began within another")
			}
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
