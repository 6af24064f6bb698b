// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// A reader goes over the fields of one message. After next the field stands in
// num; the accessor of the type that it should have returns its value. The
// first error ends the reading.
type reader struct {
	rest  []byte // what follows the field
	in    string // the message, for errors
	num   uint32
	typ   byte
	value uint64 // of a varint
	data  []byte // of a field with length; it aliases the message
	err   error
}

// next takes the next field, and reports whether there is one.
func (r *reader) next() bool {
	if r.err != nil || len(r.rest) == 0 {
		return false
	}
	tag, n := varint(r.rest)
	if n < 0 || tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		return r.fail("no field starts at byte %d from its end", len(r.rest))
	}
	r.rest = r.rest[n:]
	r.num, r.typ = uint32(tag>>3), byte(tag&7)
	switch r.typ {
	case typeVarint:
		r.value, n = varint(r.rest)
	case typeBytes:
		r.data, n = lengthed(r.rest)
	default:
		n = protowire.ConsumeFieldValue(protowire.Number(r.num), protowire.Type(r.typ), r.rest)
	}
	if n < 0 {
		return r.fail("field %d is %s", r.num, fault(n))
	}
	r.rest = r.rest[n:]
	return true
}

func (r *reader) uint64() uint64 {
	if r.typ != typeVarint {
		r.wrongType(typeVarint)
		return 0
	}
	return r.value
}

func (r *reader) uint32() uint32 {
	v := r.uint64()
	if v > math.MaxUint32 {
		r.fail("field %d: %d does not fit 32 bits", r.num, v)
		return 0
	}
	return uint32(v)
}

func (r *reader) bool() bool { return r.uint64() != 0 }

// bytes returns the field's own bytes, not a copy.
func (r *reader) bytes() []byte {
	if r.typ != typeBytes {
		r.wrongType(typeBytes)
		return nil
	}
	return r.data[:len(r.data):len(r.data)]
}

func (r *reader) string() string {
	b := r.bytes()
	if !utf8.Valid(b) {
		r.fail("field %d is not UTF-8", r.num)
		return ""
	}
	return string(b)
}

// stringLike is string that returns s itself if that is what the field holds.
func (r *reader) stringLike(s string) string {
	if r.typ == typeBytes && string(r.data) == s {
		return s
	}
	return r.string()
}

// uint32s appends the field's numbers to vs. They come packed or one a field, as
// protobuf asks of receivers.
func (r *reader) uint32s(vs []uint32) []uint32 {
	if r.typ == typeVarint {
		return append(vs, r.uint32())
	}
	for b := r.bytes(); len(b) > 0; {
		v, n := varint(b)
		if n < 0 || v > math.MaxUint32 {
			r.fail("field %d: it is not a list of 32-bit numbers", r.num)
			return vs
		}
		vs = append(vs, uint32(v))
		b = b[n:]
	}
	return vs
}

// pair adds a Pair to m, which it makes if it is nil. Of equal keys the last
// counts.
func (r *reader) pair(m *map[string]string) {
	var key, value string
	p := reader{rest: r.bytes(), in: r.in + " pair"}
	for p.next() {
		switch p.num {
		case 1:
			key = p.string()
		case 2:
			value = p.string()
		}
	}
	if r.err == nil {
		r.err = p.err
	}
	if *m == nil {
		*m = make(map[string]string)
	}
	(*m)[key] = value
}

// error adds the field to *f, which it makes if it is nil.
func (r *reader) error(f **Error) {
	if *f == nil {
		*f = new(Error)
	}
	if err := (*f).merge(r.bytes()); r.err == nil {
		r.err = err
	}
}

func (r *reader) wrongType(want byte) {
	r.fail("field %d has wire type %d, not %d", r.num, r.typ, want)
}

// fail keeps the first error. It returns false, as next does after it.
func (r *reader) fail(format string, args ...any) bool {
	if r.err == nil {
		r.err = &malformed{r.in, format, args}
	}
	return false
}

// A malformed says what is wrong with a message if somebody asks. Most are counted
// and forgotten, as fast as a peer sends them.
type malformed struct {
	in, format string
	args       []any
}

func (m *malformed) Error() string {
	return fmt.Sprintf("%v %s: %s", ErrMalformed, m.in, fmt.Sprintf(m.format, m.args...))
}

func (*malformed) Unwrap() error { return ErrMalformed }

// fault says what a negative length of protowire stands for. Its own texts differ
// from build to build.
func fault(n int) string {
	if errors.Is(protowire.ParseError(n), io.ErrUnexpectedEOF) {
		return "cut off"
	}
	return "not a valid value"
}

// lengthed returns the bytes behind the length at the start of b and how much of
// b both take, which is negative if they are not all there.
func lengthed(b []byte) ([]byte, int) {
	if size, n := varint(b); n > 0 && size <= uint64(len(b)-n) {
		end := n + int(size)
		return b[n:end], end
	}
	return protowire.ConsumeBytes(b) // which tells what is wrong
}

// varint returns the number at the start of b and its length, which is negative
// if there is none.
func varint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	if len(b) > 1 && b[1] < 0x80 {
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
	}
	return protowire.ConsumeVarint(b)
}
