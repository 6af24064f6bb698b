// SPDX-License-Identifier: Apache-2.0

package wire

// An Ask asks for what a responder serves of one name.
type Ask struct {
	Protocol uint32
	Name     string
}

// Append appends the frame to a packet.
func (f Ask) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindAsk)
	f.fields(&e)
	return e.dst
}

func (f *Ask) fields(e *encoder) {
	e.uint(1, uint64(f.Protocol))
	e.string(2, f.Name)
}

// Parse sets f to the frame with this body.
func (f *Ask) Parse(body []byte) error {
	*f = Ask{}
	r := reader{rest: body, in: "ask"}
	for r.next() {
		switch r.num {
		case 1:
			f.Protocol = r.uint32()
		case 2:
			f.Name = r.string()
		}
	}
	return r.err
}

// A Served answers an Ask.
type Served struct {
	Instance string // id of the responder
	Versions []uint32
}

// Append appends the frame to a packet.
func (f Served) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindServed)
	f.fields(&e)
	return e.dst
}

func (f *Served) fields(e *encoder) {
	e.string(1, f.Instance)
	e.uint32s(2, f.Versions)
}

// Parse sets f to the frame with this body.
func (f *Served) Parse(body []byte) error {
	*f = Served{}
	r := reader{rest: body, in: "served"}
	for r.next() {
		switch r.num {
		case 1:
			f.Instance = r.string()
		case 2:
			f.Versions = r.uint32s(f.Versions)
		}
	}
	return r.err
}
