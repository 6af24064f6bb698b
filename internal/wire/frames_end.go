// SPDX-License-Identifier: Apache-2.0

package wire

// A Fault stands for one update that could not be converted.
type Fault struct {
	Call  uint64
	Seq   uint64
	Error *Error
}

// Append appends the frame to a packet.
func (f Fault) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindFault)
	f.fields(&e)
	return e.dst
}

func (f *Fault) fields(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, f.Seq)
	e.error(3, f.Error)
}

// Parse sets f to the frame with this body. Error.Detail aliases body.
func (f *Fault) Parse(body []byte) error {
	*f = Fault{}
	r := reader{rest: body, in: "fault"}
	for r.next() {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Seq = r.uint64()
		case 3:
			r.error(&f.Error)
		}
	}
	return r.err
}

// An End is the last frame of a call.
type End struct {
	Call  uint64
	Seq   uint64
	Count uint64 // updates sent, Faults included
	Error *Error // nil: the handler came to its end
}

// Append appends the frame to a packet.
func (f End) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindEnd)
	f.fields(&e)
	return e.dst
}

func (f *End) fields(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, f.Seq)
	e.uint(3, f.Count)
	e.error(4, f.Error)
}

// Parse sets f to the frame with this body. Error.Detail aliases body.
func (f *End) Parse(body []byte) error {
	*f = End{}
	r := reader{rest: body, in: "end"}
	for r.next() {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Seq = r.uint64()
		case 3:
			f.Count = r.uint64()
		case 4:
			r.error(&f.Error)
		}
	}
	return r.err
}

// An Error is part of Fault and End. It is no frame of its own.
type Error struct {
	Code       string
	Message    string
	MayHaveRun bool
	Instance   string // who said so first, if not the sender
	CallID     string
	Type       string // name of the definition's error type
	Detail     []byte // its encoding
}

func (f *Error) fields(e *encoder) {
	e.string(1, f.Code)
	e.string(2, f.Message)
	e.bool(3, f.MayHaveRun)
	e.string(4, f.Instance)
	e.string(5, f.CallID)
	e.string(6, f.Type)
	e.bytes(7, f.Detail)
}

// merge sets the fields that body has. Protobuf asks for this where a message
// stands in a field more than once.
func (f *Error) merge(body []byte) error {
	r := reader{rest: body, in: "error"}
	for r.next() {
		switch r.num {
		case 1:
			f.Code = r.string()
		case 2:
			f.Message = r.string()
		case 3:
			f.MayHaveRun = r.bool()
		case 4:
			f.Instance = r.string()
		case 5:
			f.CallID = r.string()
		case 6:
			f.Type = r.string()
		case 7:
			f.Detail = r.bytes()
		}
	}
	return r.err
}
