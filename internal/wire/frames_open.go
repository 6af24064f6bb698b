// SPDX-License-Identifier: Apache-2.0

package wire

// An Open asks for a call. Its query may go on in Chunks.
type Open struct {
	Protocol    uint32
	Minor       uint32 // of the caller
	Features    uint64 // bits that the caller understands
	Client      string // id of the caller's inbox
	Call        uint64 // id of the call
	Kind        uint32 // 1 one-way, 2 unary, 3 pipe, 4 state
	TimeoutUS   uint64 // microseconds left for the call; 0 is no limit
	SentUS      uint64 // the caller's clock when it sent this, in microseconds from any origin
	Allow       uint64 // bytes of first value that may come without credit
	Credit      uint64 // stream credit, total
	PeerCredit  uint64 // peer credit, total, for a responder new to this caller
	ContentType string
	Metadata    map[string]string
	Epoch       string // to resume: the source, and the position held of it
	Position    uint64
	Total       uint64 // length of the query, if it goes on in Chunks
	Query       []byte // all of the query, or its beginning
}

// Append appends the frame to a packet.
func (f Open) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindOpen)
	f.fields(&e)
	return e.dst
}

func (f *Open) fields(e *encoder) {
	e.uint(1, uint64(f.Protocol))
	e.uint(2, uint64(f.Minor))
	e.uint(3, f.Features)
	e.string(4, f.Client)
	e.uint(5, f.Call)
	e.uint(6, uint64(f.Kind))
	e.uint(7, f.TimeoutUS)
	e.uint(8, f.SentUS)
	e.uint(9, f.Allow)
	e.uint(10, f.Credit)
	e.uint(11, f.PeerCredit)
	e.string(12, f.ContentType)
	e.pairs(13, f.Metadata)
	e.string(14, f.Epoch)
	e.uint(15, f.Position)
	e.uint(16, f.Total)
	e.bytes(17, f.Query)
}

// Parse sets f to the frame with this body. Query aliases body. A Client or
// ContentType that f had before is not copied anew.
func (f *Open) Parse(body []byte) error {
	client, contentType := f.Client, f.ContentType
	*f = Open{}
	r := reader{rest: body, in: "open"}
	for r.next() {
		switch r.num {
		case 1:
			f.Protocol = r.uint32()
		case 2:
			f.Minor = r.uint32()
		case 3:
			f.Features = r.uint64()
		case 4:
			f.Client = r.stringLike(client)
		case 5:
			f.Call = r.uint64()
		case 6:
			f.Kind = r.uint32()
		case 7:
			f.TimeoutUS = r.uint64()
		case 8:
			f.SentUS = r.uint64()
		case 9:
			f.Allow = r.uint64()
		case 10:
			f.Credit = r.uint64()
		case 11:
			f.PeerCredit = r.uint64()
		case 12:
			f.ContentType = r.stringLike(contentType)
		case 13:
			r.pair(&f.Metadata)
		case 14:
			f.Epoch = r.string()
		case 15:
			f.Position = r.uint64()
		case 16:
			f.Total = r.uint64()
		case 17:
			f.Query = r.bytes()
		}
	}
	return r.err
}

// An Accept says that this responder has the call.
type Accept struct {
	Call     uint64
	Protocol uint32
	Minor    uint32 // of the responder
	Features uint64 // bits that both sides understand
	Instance string // id of the responder
	Credit   uint64 // query credit, total, if the query goes on in Chunks
	Session  uint64 // if the message has a Reply: the responder's record of the caller
	Used     uint64 // peer credit used since that record was made
}

// Append appends the frame to a packet.
func (f Accept) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindAccept)
	f.fields(&e)
	return e.dst
}

func (f *Accept) fields(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, uint64(f.Protocol))
	e.uint(3, uint64(f.Minor))
	e.uint(4, f.Features)
	e.string(5, f.Instance)
	e.uint(6, f.Credit)
	e.uint(7, f.Session)
	e.uint(8, f.Used)
}

// Parse sets f to the frame with this body. An Instance that f had before is not
// copied anew.
func (f *Accept) Parse(body []byte) error {
	instance := f.Instance
	*f = Accept{}
	r := reader{rest: body, in: "accept"}
	for r.next() {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Protocol = r.uint32()
		case 3:
			f.Minor = r.uint32()
		case 4:
			f.Features = r.uint64()
		case 5:
			f.Instance = r.stringLike(instance)
		case 6:
			f.Credit = r.uint64()
		case 7:
			f.Session = r.uint64()
		case 8:
			f.Used = r.uint64()
		}
	}
	return r.err
}
