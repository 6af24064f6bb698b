// SPDX-License-Identifier: Apache-2.0

package wire

// A Credit lets the peer send: totals in bytes, which never go back.
type Credit struct {
	Call  uint64 // 0: peer credit alone
	Total uint64 // since the call
	Peer  uint64 // since the first contact of the two peers; 0: nothing said
}

// Append appends the frame to a packet.
func (f Credit) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindCredit)
	f.fields(&e)
	return e.dst
}

func (f *Credit) fields(e *encoder) {
	e.uint(1, f.Call)
	e.uint(2, f.Total)
	e.uint(3, f.Peer)
}

// Parse sets f to the frame with this body.
func (f *Credit) Parse(body []byte) error {
	*f = Credit{}
	r := reader{rest: body, in: "credit"}
	for r.next() {
		switch r.num {
		case 1:
			f.Call = r.uint64()
		case 2:
			f.Total = r.uint64()
		case 3:
			f.Peer = r.uint64()
		}
	}
	return r.err
}

// A Cancel ends a call.
type Cancel struct {
	Call uint64
}

// Append appends the frame to a packet.
func (f Cancel) Append(dst []byte) []byte { return appendCall(dst, KindCancel, f.Call) }

// Parse sets f to the frame with this body.
func (f *Cancel) Parse(body []byte) (err error) {
	f.Call, err = parseCall(body, "cancel")
	return err
}

// A Reset answers a Beat that names a call which the receiver does not have.
type Reset struct {
	Call uint64
}

// Append appends the frame to a packet.
func (f Reset) Append(dst []byte) []byte { return appendCall(dst, KindReset, f.Call) }

// Parse sets f to the frame with this body.
func (f *Reset) Parse(body []byte) (err error) {
	f.Call, err = parseCall(body, "reset")
	return err
}

// appendCall appends a frame that has no other field than the call's id.
func appendCall(dst []byte, k Kind, call uint64) []byte {
	e := encoder{dst: dst}
	e.uint(1, call)
	e.begin(k)
	e.uint(1, call)
	return e.dst
}

func parseCall(body []byte, in string) (call uint64, err error) {
	r := reader{rest: body, in: in}
	for r.next() {
		if r.num == 1 {
			call = r.uint64()
		}
	}
	return call, r.err
}

// A Beat is a heartbeat.
type Beat struct {
	From  string // id of client or instance
	Full  bool   // Calls lists all calls between the two
	Peer  uint64 // from a caller: peer credit, total
	Calls []BeatCall
	Used  uint64 // from a responder: peer credit used, total
}

// A BeatCall is one call in a Beat. Number is from a responder the last frame
// published, from a caller the stream credit.
type BeatCall struct {
	Call, Number uint64
}

// Append appends the frame to a packet.
func (f Beat) Append(dst []byte) []byte {
	e := encoder{dst: dst}
	f.fields(&e)
	e.begin(KindBeat)
	f.fields(&e)
	return e.dst
}

func (f *Beat) fields(e *encoder) {
	e.string(1, f.From)
	e.bool(2, f.Full)
	e.uint(3, f.Peer)
	for _, c := range f.Calls {
		var inner encoder
		c.fields(&inner)
		e.head(4, inner.size)
		c.fields(e)
	}
	e.uint(5, f.Used)
}

func (c *BeatCall) fields(e *encoder) {
	e.uint(1, c.Call)
	e.uint(2, c.Number)
}

// Parse sets f to the frame with this body.
func (f *Beat) Parse(body []byte) error {
	*f = Beat{}
	r := reader{rest: body, in: "beat"}
	for r.next() {
		switch r.num {
		case 1:
			f.From = r.string()
		case 2:
			f.Full = r.bool()
		case 3:
			f.Peer = r.uint64()
		case 4:
			c, err := parseBeatCall(r.bytes())
			if r.err == nil {
				r.err = err
			}
			f.Calls = append(f.Calls, c)
		case 5:
			f.Used = r.uint64()
		}
	}
	return r.err
}

func parseBeatCall(body []byte) (c BeatCall, err error) {
	r := reader{rest: body, in: "beat call"}
	for r.next() {
		switch r.num {
		case 1:
			c.Call = r.uint64()
		case 2:
			c.Number = r.uint64()
		}
	}
	return c, r.err
}
