// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"slices"
	"sync"
)

const (
	// headroom is what stands before the elements of a Data packet at most: the
	// tags and lengths of Packet and Frame, four 64-bit fields and a 32-bit one.
	headroom = 2*(1+10) + 4*(1+10) + (1 + 5)

	// keptBuffer is how large a buffer a Batch keeps in any case.
	keptBuffer = 64 << 10
)

// errNotAppended is the error of a codec that breaks the rule of append
// functions. Packets would be torn if it went unseen.
var errNotAppended = errors.New("the codec did not append to the bytes it was given")

// A Batch is a Data packet under construction. Its elements are encoded one
// after another into one buffer, which is used again for other packets: in a
// steady stream no element costs an allocation. The zero Batch is empty and
// ready for use. It is not safe for concurrent use.
//
//	b.Append(encode) …     add elements
//	b.Packet(head)         publish what it returns
//	b.Reset()              then begin the next
type Batch struct {
	buf   []byte  // headroom, then the records of the elements; nil in an empty batch
	home  *[]byte // what buf came from and goes back to
	count int
	last  int // where the record of the newest element starts; 0 if not known
	width int // bytes that the length of the newest element took
}

// Count returns the number of elements.
func (b *Batch) Count() int { return b.count }

// Size returns the bytes of the elements' records, which is the length of the
// packet but for its head of at most 72 bytes.
func (b *Batch) Size() int { return max(len(b.buf)-headroom, 0) }

// SizeWith returns what Size will be after an element of n bytes was added.
func (b *Batch) SizeWith(n int) int {
	return b.Size() + 1 + sizeVarint(uint64(n)) + n
}

// Records returns the elements' records. They are a part of the batch's buffer:
// valid until the batch is changed.
func (b *Batch) Records() []byte { return b.buf[min(headroom, len(b.buf)):] }

// LastSize returns the bytes of the newest element's record, 0 if there is none.
func (b *Batch) LastSize() int {
	if b.count == 0 {
		return 0
	}
	return len(b.buf) - b.newest()
}

// Append adds the element that encode appends to the bytes it is given. If
// encode fails or does not append, the batch stays as it was and Append returns
// the error. encode must not use the batch, nor keep the bytes.
func (b *Batch) Append(encode func(dst []byte) ([]byte, error)) error {
	if b.count == 0 {
		b.prepare()
	}
	start := len(b.buf)
	// The length stands before the element but is known after it. Elements of a
	// stream are mostly alike: room is left for a length like the last one's.
	given := slices.Grow(b.buf, 1+b.width)[:start+1+b.width]
	given[start] = elementTag
	out, err := encode(given)
	if err != nil {
		return err
	}
	if !extends(out, given) {
		return errNotAppended
	}
	data := start + 1 + b.width
	n := len(out) - data
	if w := sizeVarint(uint64(n)); w != b.width {
		out = move(out, data, start+1+w)
		b.width = w
	}
	putVarint(out[start+1:], uint64(n))
	b.buf, b.last = out, start
	b.count++
	return nil
}

// AppendBytes adds data as an element.
func (b *Batch) AppendBytes(data []byte) {
	if b.count == 0 {
		b.prepare()
	}
	b.last = len(b.buf)
	b.width = sizeVarint(uint64(len(data)))
	b.buf = appendVarint(append(b.buf, elementTag), uint64(len(data)))
	b.buf = append(b.buf, data...)
	b.count++
}

// CutLast takes the newest element off the batch and appends its data to dst.
// An empty batch appends nothing.
func (b *Batch) CutLast(dst []byte) []byte {
	if b.count == 0 {
		return dst
	}
	start := b.newest()
	_, n := varint(b.buf[start+1:])
	dst = append(dst, b.buf[start+1+n:]...)
	b.buf = b.buf[:start]
	b.count--
	b.last = 0
	return dst
}

// TakeLast takes the newest element off the batch and returns its data. That of
// the only element is not copied: the batch's buffer goes with it.
func (b *Batch) TakeLast() []byte {
	if b.count != 1 {
		return b.CutLast(nil)
	}
	_, n := varint(b.buf[headroom+1:])
	data := b.buf[headroom+1+n:]
	*b = Batch{width: b.width}
	return data
}

// Packet returns the packet of head and the elements; head.Elements is not
// looked at. The packet is a part of the batch's buffer: it is valid, and may
// be asked for again with another head, until the batch is changed.
func (b *Batch) Packet(head Data) []byte {
	b.prepare()
	var e encoder
	head.head(&e)
	body := e.size + b.Size()
	frame := 1 + sizeVarint(uint64(body)) + body
	start := headroom - e.size - (frame - body) - 1 - sizeVarint(uint64(frame))

	// The head is right-aligned: it ends where the elements begin.
	e.dst, e.writing = b.buf[start:start:headroom], true
	e.head(packetFrames, frame)
	e.head(int(KindData), body)
	head.head(&e)
	return b.buf[start:]
}

// Reset makes the batch empty and gives its buffer to the next that needs one,
// so that only batches which hold something take memory. A buffer is dropped if
// it is of more than 64 KiB and much larger than the packet that it held: one
// great element among small ones does not stay in memory.
func (b *Batch) Reset() {
	if b.keeps() {
		*b.home = b.buf[:0]
		buffers.Put(b.home)
	}
	*b = Batch{width: b.width}
}

func (b *Batch) keeps() bool {
	return b.buf != nil && cap(b.buf) <= max(keptBuffer, 2*len(b.buf))
}

// buffers are those of no batch.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// prepare gets a buffer and reserves the headroom.
func (b *Batch) prepare() {
	if b.buf == nil {
		b.home = buffers.Get().(*[]byte)
		b.buf = *b.home
		if cap(b.buf) < headroom {
			b.buf = make([]byte, 0, 512)
		}
		b.buf = b.buf[:headroom]
	}
	b.width = max(b.width, 1)
}

// newest returns where the record of the newest element starts. After a CutLast
// it has to be looked for from the front.
func (b *Batch) newest() int {
	if b.last == 0 {
		for rest := b.buf[headroom:]; len(rest) > 0; {
			b.last = len(b.buf) - len(rest)
			_, rest, _ = NextElement(rest)
		}
	}
	return b.last
}

// zeros is room for the length of an element.
var zeros [10]byte

// extends reports whether out begins with given. Where both share memory there
// is nothing to compare.
func extends(out, given []byte) bool {
	return len(out) >= len(given) && (&out[0] == &given[0] || bytes.Equal(out[:len(given)], given))
}

// move moves the end of b, which starts at from, so that it starts at to.
func move(b []byte, from, to int) []byte {
	if to > from {
		b = append(b, zeros[:to-from]...)
		copy(b[to:], b[from:])
		return b
	}
	n := copy(b[to:], b[from:])
	return b[:to+n]
}

// putVarint writes v to the start of b, which has room for it.
func putVarint(b []byte, v uint64) {
	i := 0
	for ; v >= 0x80; i++ {
		b[i] = byte(v) | 0x80
		v >>= 7
	}
	b[i] = byte(v)
}
