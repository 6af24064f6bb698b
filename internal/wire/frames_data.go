// SPDX-License-Identifier: Apache-2.0

package wire

import "fmt"

// The field of Data that holds the elements, and its tag.
const (
	dataElements = 6
	elementTag   = dataElements<<3 | typeBytes
)

// Data carries updates. [Batch] makes such packets element by element.
type Data struct {
	Call     uint64
	Seq      uint64
	Before   uint64 // position in the source before these updates
	Last     uint64 // and after them
	Blocked  uint32 // bits of why the sender waits: BlockedOnStream, BlockedOnPeer
	Elements []byte // records, to be read with NextElement
}

// The bits of Data.Blocked and Chunk.Blocked.
const (
	BlockedOnStream = 1 << iota // the sender waits for stream credit
	BlockedOnPeer               // the sender waits for peer credit
)

// Append appends the frame to a packet. Elements must be records, as Parse
// leaves them.
func (f Data) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.head(&e)
	e.raw(f.Elements)
	e.begin(KindData)
	f.head(&e)
	e.raw(f.Elements)
	return e.dst
}

// head goes over the fields that stand before the elements.
func (f *Data) head(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, f.Seq)
	e.uint(3, f.Before)
	e.uint(4, f.Last)
	e.uint(5, uint64(f.Blocked))
}

// Parse sets f to the frame with this body, of which Elements is the part from
// the first element on, not yet looked into.
func (f *Data) Parse(body []byte) error {
	*f = Data{}
	r := reader{rest: body, in: "data"}
	for elements := body; r.next(); elements = r.rest {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Seq = r.uint64()
		case 3:
			f.Before = r.uint64()
		case 4:
			f.Last = r.uint64()
		case 5:
			f.Blocked = r.uint32()
		case dataElements:
			if r.bytes(); r.err == nil {
				f.Elements = elements
			}
			return r.err
		}
	}
	return r.err
}

// NextElement returns the first of the elements that records holds, and the
// records that follow it. It is for records that are not empty:
//
//	for records := data.Elements; len(records) > 0; {
//		var element []byte
//		element, records, err = wire.NextElement(records)
//		…
//	}
//
// An error is the last: rest is then nil.
func NextElement(records []byte) (element, rest []byte, err error) {
	if len(records) < 2 || records[0] != elementTag {
		return nil, nil, badElement(records)
	}
	size, n := varint(records[1:])
	if n < 0 || size > uint64(len(records)-1-n) {
		return nil, nil, badElement(records)
	}
	start, end := 1+n, 1+n+int(size)
	return records[start:end:end], records[end:], nil
}

func badElement(records []byte) error {
	if len(records) > 0 && records[0] != elementTag {
		return fmt.Errorf("%w data: tag %#x among the elements, not %#x", ErrMalformed, records[0], elementTag)
	}
	return fmt.Errorf("%w data: an element ends too early", ErrMalformed)
}
