// SPDX-License-Identifier: Apache-2.0

package wire

// A First is the answer, the state, or the start of a pipe. Its value may go on
// in Chunks.
type First struct {
	Call     uint64
	Seq      uint64
	Metadata map[string]string
	Epoch    string // of the updates' source, if they have one
	Position uint64 // of the state in its source
	Total    uint64 // length of the value, if it goes on in Chunks
	Data     []byte // all of the value, or its beginning
	Resumed  bool   // the updates after the position asked for follow; Data is empty
	Feed     string // where the updates come; the call itself is over
}

// Append appends the frame to a packet.
func (f First) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindFirst)
	f.fields(&e)
	return e.dst
}

func (f *First) fields(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, f.Seq)
	e.pairs(3, f.Metadata)
	e.string(4, f.Epoch)
	e.uint(5, f.Position)
	e.uint(6, f.Total)
	e.bytes(7, f.Data)
	e.bool(8, f.Resumed)
	e.string(9, f.Feed)
}

// Parse sets f to the frame with this body. Data aliases body.
func (f *First) Parse(body []byte) error {
	*f = First{}
	r := reader{rest: body, in: "first"}
	for r.next() {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Seq = r.uint64()
		case 3:
			r.pair(&f.Metadata)
		case 4:
			f.Epoch = r.string()
		case 5:
			f.Position = r.uint64()
		case 6:
			f.Total = r.uint64()
		case 7:
			f.Data = r.bytes()
		case 8:
			f.Resumed = r.bool()
		case 9:
			f.Feed = r.string()
		}
	}
	return r.err
}

// A Chunk is a piece of a value that is too long for one frame: the rest of a
// First's or an Open's or, if Total is set, the beginning of an update.
type Chunk struct {
	Call    uint64
	Seq     uint64
	Before  uint64 // as in Data
	Last    uint64
	Blocked uint32
	Total   uint64 // length of the update that begins here
	Data    []byte
}

// Append appends the frame to a packet.
func (f Chunk) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindChunk)
	f.fields(&e)
	return e.dst
}

func (f *Chunk) fields(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, f.Seq)
	e.uint(3, f.Before)
	e.uint(4, f.Last)
	e.uint(5, uint64(f.Blocked))
	e.uint(6, f.Total)
	e.bytes(7, f.Data)
}

// Parse sets f to the frame with this body. Data aliases body.
func (f *Chunk) Parse(body []byte) error {
	*f = Chunk{}
	r := reader{rest: body, in: "chunk"}
	for r.next() {
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
		case 6:
			f.Total = r.uint64()
		case 7:
			f.Data = r.bytes()
		}
	}
	return r.err
}
