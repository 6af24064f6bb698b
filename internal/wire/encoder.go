// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// The protobuf wire types that frames are made of.
const (
	typeVarint = 0
	typeBytes  = 2
)

// An encoder goes over the fields of a frame twice: first it counts their bytes,
// as lengths stand before what they measure, then it writes them. Fields that
// are zero or empty are left out, as proto3 does.
type encoder struct {
	dst     []byte
	size    int
	writing bool
	invalid bool // one of the strings counted is not UTF-8
}

// begin ends the count and writes what stands before the body of a frame.
func (e *encoder) begin(k Kind) {
	inner := 1 + sizeVarint(uint64(e.size)) + e.size
	e.dst = slices.Grow(e.dst, 1+sizeVarint(uint64(inner))+inner)
	e.writing = true
	e.head(packetFrames, inner)
	e.head(int(k), e.size)
}

// head writes the tag and the length of a field of n bytes.
func (e *encoder) head(num, n int) {
	tag := uint64(num<<3 | typeBytes)
	if !e.writing {
		e.size += sizeVarint(tag) + sizeVarint(uint64(n))
		return
	}
	e.dst = appendVarint(appendVarint(e.dst, tag), uint64(n))
}

func (e *encoder) uint(num int, v uint64) {
	if v == 0 {
		return
	}
	tag := uint64(num<<3 | typeVarint)
	if !e.writing {
		e.size += sizeVarint(tag) + sizeVarint(v)
		return
	}
	e.dst = appendVarint(appendVarint(e.dst, tag), v)
}

func (e *encoder) bool(num int, v bool) {
	if v {
		e.uint(num, 1)
	}
}

// string writes s. Protobuf strings are UTF-8 and receivers may refuse a whole
// packet for one that is not, so bytes that are not stand as U+FFFD.
func (e *encoder) string(num int, s string) {
	if s == "" {
		return
	}
	if (!e.writing || e.invalid) && !utf8.ValidString(s) {
		s, e.invalid = strings.ToValidUTF8(s, "\uFFFD"), true
	}
	e.head(num, len(s))
	if !e.writing {
		e.size += len(s)
		return
	}
	e.dst = append(e.dst, s...)
}

func (e *encoder) bytes(num int, b []byte) {
	if len(b) == 0 {
		return
	}
	e.head(num, len(b))
	e.raw(b)
}

// raw writes records that are already encoded.
func (e *encoder) raw(b []byte) {
	if !e.writing {
		e.size += len(b)
		return
	}
	e.dst = append(e.dst, b...)
}

// uint32s writes vs packed, as proto3 does.
func (e *encoder) uint32s(num int, vs []uint32) {
	if len(vs) == 0 {
		return
	}
	size := 0
	for _, v := range vs {
		size += sizeVarint(uint64(v))
	}
	e.head(num, size)
	if !e.writing {
		e.size += size
		return
	}
	for _, v := range vs {
		e.dst = appendVarint(e.dst, uint64(v))
	}
}

// pairs writes m in the order of its keys, so that equal maps give equal bytes.
// Up to 16 pairs cost no allocation.
func (e *encoder) pairs(num int, m map[string]string) {
	if len(m) == 0 {
		return
	}
	keys := make([]string, 0, 16)
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		var pair encoder
		pair.string(1, k)
		pair.string(2, m[k])
		e.head(num, pair.size)
		e.string(1, k)
		e.string(2, m[k])
	}
}

// error writes f, if there is one.
func (e *encoder) error(num int, f *Error) {
	if f == nil {
		return
	}
	var inner encoder
	f.fields(&inner)
	e.head(num, inner.size)
	f.fields(e)
}

// sizeVarint returns how many bytes v takes: one for each seven bits, and one
// for 0. For up to 64 bits that is (9*bits + 64) / 64, without a true division.
func sizeVarint(v uint64) int {
	return (9*bits.Len64(v) + 64) >> 6
}

func appendVarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}
