// SPDX-License-Identifier: Apache-2.0

package wire

// A Join makes the caller a member of a feed, or renews that, and asks for what
// it missed.
type Join struct {
	Call uint64 // the membership, a call of its own
	Feed string // as First.Feed named it
	From uint64 // the last position of the feed that the caller has
}

// Append appends the frame to a packet.
func (f Join) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindJoin)
	f.fields(&e)
	return e.dst
}

func (f *Join) fields(e *encoder) {
	e.uint(1, f.Call)
	e.string(2, f.Feed)
	e.uint(3, f.From)
}

// Parse sets f to the frame with this body.
func (f *Join) Parse(body []byte) error {
	*f = Join{}
	r := reader{rest: body, in: "join"}
	for r.next() {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Feed = r.string()
		case 3:
			f.From = r.uint64()
		}
	}
	return r.err
}

// A Feed carries updates to all members of a feed. Without elements it says
// where the feed stands.
type Feed struct {
	Call     uint64   // of the Join that this answers; 0 to all
	Before   uint64   // position in the source before these updates
	Last     uint64   // and after them
	Steps    []uint32 // by how much each element's position is beyond the one before it; none: by 1 each
	Faults   []uint32 // which elements, from 0, are texts of what is wrong with an update
	Elements []byte   // records, to be read with NextElement
}

// Append appends the frame to a packet. Elements must be records, as Parse
// leaves them and a [Batch] has them.
func (f Feed) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindFeed)
	f.fields(&e)
	return e.dst
}

func (f *Feed) fields(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, f.Before)
	e.uint(3, f.Last)
	e.uint32s(4, f.Steps)
	e.uint32s(5, f.Faults)
	e.raw(f.Elements)
}

// Parse sets f to the frame with this body, of which Elements is the part from
// the first element on, not yet looked into.
func (f *Feed) Parse(body []byte) error {
	*f = Feed{}
	r := reader{rest: body, in: "feed"}
	for elements := body; r.next(); elements = r.rest {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Before = r.uint64()
		case 3:
			f.Last = r.uint64()
		case 4:
			f.Steps = r.uint32s(f.Steps)
		case 5:
			f.Faults = r.uint32s(f.Faults)
		case dataElements:
			if r.bytes(); r.err == nil {
				f.Elements = elements
			}
			return r.err
		}
	}
	return r.err
}
