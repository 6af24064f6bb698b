// SPDX-License-Identifier: Apache-2.0

// Package wire is what durabus says on NATS: packets of frames, and subjects.
//
// A packet is the body of one NATS message. It is the protobuf message Packet of
// frames.proto, written and read by hand: byte for byte what generated code
// writes, without its cost. There is a struct for each kind of frame; its Append
// adds a complete frame to a packet, its Parse reads the body that [Next] found.
//
//	packet := wire.Accept{Call: 7, Instance: id}.Append(nil)
//	packet = wire.First{Call: 7, Seq: 1, Data: answer}.Append(packet)
//	packet = wire.AppendNumber(packet, 12)
//
//	for rest := packet; ; {
//		var kind wire.Kind
//		var body []byte
//		kind, body, rest, err = wire.Next(rest)
//		if kind == 0 { // err is nil at the packet's end
//			break
//		}
//		…
//	}
//
// # Ownership
//
// What is read keeps no pointer into the packet except where the type is []byte:
// those alias it, and never reach beyond their own bytes, so that appending to
// one cannot change the next. Append copies all that it is given.
//
// # Strictness
//
// What a newer minor version may add is passed over: unknown fields of a packet
// and of known frames. All else that does not fit is an error which wraps
// [ErrMalformed], or an [*UnknownFrameError]: a known field of another wire type,
// a number too large for its field, a string that is not UTF-8, a Frame without
// exactly one kind, lengths beyond the end. Nothing panics, whatever the bytes.
//
// The package starts no goroutine and imports nothing of the module.
package wire
