// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
)

// The fields of Packet.
const (
	packetFrames = 1
	packetNumber = 2
)

// ErrMalformed is wrapped by the errors of bytes that are not a packet, which
// say what was wrong with them.
var ErrMalformed = errors.New("malformed")

// An UnknownFrameError is the error of a frame of a kind that this version does
// not have.
type UnknownFrameError struct {
	Number uint32 // of the kind's field in Frame
}

// Error names the number.
func (e *UnknownFrameError) Error() string {
	return fmt.Sprintf("frame of unknown kind %d", e.Number)
}

// AppendNumber appends the packet's number, after its frames. Zero is no number
// and appends nothing.
func AppendNumber(dst []byte, n uint64) []byte {
	e := encoder{dst: dst, writing: true}
	e.uint(packetNumber, n)
	return e.dst
}

// Number returns the packet's number, or 0 if it has none. It reads the records
// of the whole packet but does not look into its frames: an error means that
// the packet is not to be trusted at all.
func Number(packet []byte) (n uint64, err error) {
	r := reader{rest: packet, in: "packet"}
	for r.next() {
		switch r.num {
		case packetFrames:
			r.bytes()
		case packetNumber:
			n = r.uint64()
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	return n, nil
}

// Next returns the kind and the body of the packet's first frame, and what of
// the packet follows it. At the end of the packet k is 0 and err nil. With an
// error, an [*UnknownFrameError] for instance, k is 0 too; rest is then what
// follows the bad frame, or nil if the packet itself is malformed.
func Next(packet []byte) (k Kind, body, rest []byte, err error) {
	r := reader{rest: packet, in: "packet"}
	for r.next() {
		switch r.num {
		case packetFrames:
			if frame := r.bytes(); r.err == nil {
				k, body, err = parseFrame(frame)
				return k, body, r.rest, err
			}
		case packetNumber:
			r.uint64()
		}
	}
	return 0, nil, nil, r.err
}

// parseFrame returns the only field of a Frame.
func parseFrame(frame []byte) (k Kind, body []byte, err error) {
	r := reader{rest: frame, in: "frame"}
	if !r.next() {
		if r.err == nil {
			r.fail("it has no kind")
		}
		return 0, nil, r.err
	}
	if r.num > uint32(KindFeed) {
		return 0, nil, &UnknownFrameError{Number: r.num}
	}
	body = r.bytes()
	if len(r.rest) > 0 {
		r.fail("it goes on after field %d", r.num)
	}
	if r.err != nil {
		return 0, nil, r.err
	}
	return Kind(r.num), body, nil
}
