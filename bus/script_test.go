// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"slices"
	"strings"

	"github.com/durabus/durabus/internal/wire"
)

// A script is what a hostile peer of a fuzz target does, read from bytes. At its
// end all it says is 0.
type script struct{ rest []byte }

func (s *script) byte() (b byte) {
	if len(s.rest) > 0 {
		b, s.rest = s.rest[0], s.rest[1:]
	}
	return b
}

// The numbers at which something may go wrong: limits and the ends of a range.
var edges = [...]uint64{
	1<<64 - 1, 1<<64 - 2, 1 << 63, 1<<63 - 1, 1 << 32, 1<<32 - 1, 1 << 20, 64 << 20, 64<<20 + 1, 256 << 10,
	256<<10 + 1, 64 << 10, 64<<10 + 1, 4096, 1024, 128,
}

// number is a small number, mostly.
func (s *script) number() uint64 {
	b := s.byte()
	if b >= 0xf0 {
		return edges[b-0xf0]
	}
	return uint64(b)
}

// text is one of these, or one that is not.
func (s *script) text(known ...string) string {
	i := int(s.byte())
	if i < len(known)*32 {
		return known[i%len(known)]
	}
	return strings.Repeat(string(rune('a'+i%26)), i&3*50)
}

// bytes are the next of the script itself.
func (s *script) bytes() []byte {
	n := min(int(s.byte()), len(s.rest))
	b := s.rest[:n:n]
	s.rest = s.rest[n:]
	return b
}

func (s *script) metadata() (md map[string]string) {
	for range s.byte() & 3 {
		if md == nil {
			md = map[string]string{}
		}
		md[s.text("k", "v")] = string(s.bytes())
	}
	return md
}

func (s *script) error() *wire.Error {
	if s.byte()&1 == 0 {
		return nil
	}
	return &wire.Error{
		Code: s.text("lost", "draining", "expired", "busy", "application error", "no responder", "version unserved"), Message: string(s.bytes()),
		MayHaveRun: s.byte()&1 == 0, Instance: s.text("hostile"), CallID: s.text("x"), Type: s.text("T"), Detail: s.bytes(),
	}
}

func (s *script) list() (all []uint32) {
	for range s.byte() & 7 {
		all = append(all, uint32(s.number()))
	}
	return all
}

// elements are records, or what is none.
func (s *script) elements() []byte {
	if s.byte() == 0xff {
		return s.bytes()
	}
	var b wire.Batch
	for range s.byte() & 7 {
		b.AppendBytes(s.bytes())
	}
	return slices.Clone(b.Records())
}

// A stage is what the script speaks of: the calls, names and tokens that there are.
type stage struct {
	calls []uint64
	names []string
	token string // of a feed
	inbox string // of who calls
}

// call is one that there is, mostly.
func (s *script) call(at *stage) uint64 {
	b := int(s.byte())
	if b < 0xc0 && len(at.calls) > 0 {
		return at.calls[b%len(at.calls)]
	}
	return s.number()
}

// frame is a frame of any kind, or bytes that are none.
func (s *script) frame(at *stage) []byte {
	switch wire.Kind(s.byte() % 18) {
	case wire.KindOpen:
		return s.open(at).Append(nil)
	case wire.KindAccept:
		return wire.Accept{
			Call: s.call(at), Protocol: s.protocol(), Features: s.number(), Instance: s.text(at.names...), Credit: s.number(),
			Session: s.number(), Used: s.number(),
		}.Append(nil)
	case wire.KindFirst:
		return wire.First{
			Call: s.call(at), Seq: s.number(), Metadata: s.metadata(), Epoch: s.text("e"), Position: s.number(), Total: s.number(),
			Data: s.bytes(), Resumed: s.byte()&1 == 1, Feed: s.text("", at.token),
		}.Append(nil)
	case wire.KindData:
		return wire.Data{
			Call: s.call(at), Seq: s.number(), Before: s.number(), Last: s.number(), Blocked: uint32(s.byte()), Elements: s.elements(),
		}.Append(nil)
	case wire.KindChunk:
		return wire.Chunk{Call: s.call(at), Seq: s.number(), Blocked: uint32(s.byte()), Total: s.number(), Data: s.bytes()}.Append(nil)
	case wire.KindFault:
		return wire.Fault{Call: s.call(at), Seq: s.number(), Error: s.error()}.Append(nil)
	case wire.KindEnd:
		return wire.End{Call: s.call(at), Seq: s.number(), Count: s.number(), Error: s.error()}.Append(nil)
	case wire.KindCredit:
		return wire.Credit{Call: s.call(at), Total: s.number(), Peer: s.number()}.Append(nil)
	case wire.KindCancel:
		return wire.Cancel{Call: s.call(at)}.Append(nil)
	case wire.KindReset:
		return wire.Reset{Call: s.call(at)}.Append(nil)
	case wire.KindBeat:
		return s.beat(at).Append(nil)
	case wire.KindAsk:
		return wire.Ask{Protocol: s.protocol(), Name: s.text(at.names...)}.Append(nil)
	case wire.KindServed:
		return wire.Served{Instance: s.text(at.names...), Versions: s.list()}.Append(nil)
	case wire.KindJoin:
		return wire.Join{Call: s.call(at), Feed: s.text("", at.token), From: s.number()}.Append(nil)
	case wire.KindFeed:
		return wire.Feed{
			Call: s.call(at), Before: s.number(), Last: s.number(), Steps: s.list(), Faults: s.list(), Elements: s.elements(),
		}.Append(nil)
	default:
		return s.bytes()
	}
}

func (s *script) protocol() uint32 {
	if b := s.byte(); b > 0xc0 {
		return uint32(b)
	}
	return 1
}

func (s *script) open(at *stage) wire.Open {
	o := wire.Open{
		Protocol: s.protocol(), Features: uint64(s.byte()), Client: s.text(at.names...), Call: s.call(at), Kind: uint32(s.byte()%4 + 1),
		Allow: 64 << 10, Credit: 256 << 10, PeerCredit: 256 << 10, Query: []byte("1"),
	}
	if s.byte() < 0x80 {
		return o
	}
	o.TimeoutUS, o.SentUS, o.Allow, o.Credit, o.PeerCredit = s.number(), s.number(), s.number(), s.number(), s.number()
	o.ContentType, o.Metadata = s.text("", "application/json"), s.metadata()
	o.Epoch, o.Position, o.Total, o.Query = s.text("", "e"), s.number(), s.number(), s.bytes()
	return o
}

func (s *script) beat(at *stage) wire.Beat {
	b := wire.Beat{From: s.text(at.names...), Full: s.byte()&1 == 1, Peer: s.number(), Used: s.number()}
	for range s.byte() & 7 {
		b.Calls = append(b.Calls, wire.BeatCall{Call: s.call(at), Number: s.number()})
	}
	return b
}

// packet is a message of a few frames.
func (s *script) packet(at *stage) (p []byte) {
	for range s.byte()&3 + 1 {
		p = append(p, s.frame(at)...)
	}
	return wire.AppendNumber(p, s.number())
}
