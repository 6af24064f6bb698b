// SPDX-License-Identifier: Apache-2.0

package flow

// A Value is one value that arrives in pieces.
type Value struct {
	data  []byte
	total uint64
	begun bool
}

// Begin starts a value of total bytes with its first piece. It reports false if
// the sizes contradict each other or another value is under way. The caller has
// checked total against its limit: Begin allocates it.
func (v *Value) Begin(total uint64, piece []byte) bool {
	if v.begun || uint64(len(piece)) > total {
		return false
	}
	v.total, v.begun = total, true
	if uint64(len(piece)) == total {
		v.data = piece // whole: no copy
		return true
	}
	v.data = append(make([]byte, 0, total), piece...)
	return true
}

// Add appends a piece. It reports false if no value is under way or the piece is
// more than is missing.
func (v *Value) Add(piece []byte) bool {
	if !v.begun || uint64(len(piece)) > v.total-uint64(len(v.data)) {
		return false
	}
	v.data = append(v.data, piece...)
	return true
}

// Take returns the value once it is whole, and forgets it.
func (v *Value) Take() (data []byte, whole bool) {
	if !v.begun || uint64(len(v.data)) < v.total {
		return nil, false
	}
	data = v.data
	*v = Value{}
	return data, true
}

// Partial reports whether a value has begun and is not whole.
func (v *Value) Partial() bool { return v.begun && uint64(len(v.data)) < v.total }
