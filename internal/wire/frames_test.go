// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/internal/wire/wirepb"
)

// eachKind runs f for many frames of each kind, empty ones first.
func eachKind(t *testing.T, f func(t *testing.T, k wire.Kind, fr frame)) {
	for k, empty := range frames {
		t.Run(k.String(), func(t *testing.T) {
			f(t, k, empty())
			r := rand.New(rand.NewPCG(1, uint64(k)))
			for range 300 {
				f(t, k, randomFrame(r, k))
			}
		})
	}
}

func TestAppendWritesWhatGeneratedCodeWrites(t *testing.T) {
	eachKind(t, func(t *testing.T, k wire.Kind, f frame) {
		twin := &wirepb.Packet{Frames: []*wirepb.Frame{generated(k, f)}, Number: 12}
		got := wire.AppendNumber(f.Append(nil), 12)
		if want := marshal(twin); !bytes.Equal(got, want) {
			t.Fatalf("%+v\n got %x\nwant %x", f, got, want)
		}
		var back wirepb.Packet
		if err := proto.Unmarshal(got, &back); err != nil || !proto.Equal(&back, twin) {
			t.Fatalf("%+v: generated code reads %v, %v", f, &back, err)
		}
	})
}

func TestParseReadsWhatGeneratedCodeWrites(t *testing.T) {
	eachKind(t, func(t *testing.T, k wire.Kind, f frame) {
		kind, body, rest, err := wire.Next(marshal(&wirepb.Packet{Frames: []*wirepb.Frame{generated(k, f)}}))
		if kind != k || len(rest) > 0 || err != nil {
			t.Fatalf("Next: %v, %d bytes more, %v", kind, len(rest), err)
		}
		got := randomFrame(rand.New(rand.NewPCG(2, 2)), k) // Parse must clear what was there
		if err := got.Parse(body); err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, f)
		}
	})
}

func TestAppendAddsToWhatIsThere(t *testing.T) {
	eachKind(t, func(t *testing.T, _ wire.Kind, f frame) {
		if got := f.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), f.Append(nil)...)) {
			t.Fatalf("%+v: %x", f, got)
		}
	})
}

func TestAPacketIsReadFrameByFrame(t *testing.T) {
	packet := wire.Accept{Call: 7, Instance: "i"}.Append(nil)
	packet = wire.First{Call: 7, Seq: 1, Data: []byte("answer")}.Append(packet)
	packet = wire.End{Call: 7, Seq: 2}.Append(packet)
	packet = wire.AppendNumber(packet, 300)

	if n, err := wire.Number(packet); n != 300 || err != nil {
		t.Errorf("Number: %d, %v", n, err)
	}
	var kinds []wire.Kind
	for rest := packet; ; {
		var k wire.Kind
		var err error
		k, _, rest, err = wire.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 {
			break
		}
		kinds = append(kinds, k)
	}
	if want := []wire.Kind{wire.KindAccept, wire.KindFirst, wire.KindEnd}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
}

func TestAnEmptyPacketHasNoNumberAndNoFrame(t *testing.T) {
	if n, err := wire.Number(nil); n != 0 || err != nil {
		t.Errorf("Number: %d, %v", n, err)
	}
	if k, _, _, err := wire.Next(nil); k != 0 || err != nil {
		t.Errorf("Next: %v, %v", k, err)
	}
}

// Later minor versions may put fields where this one knows none.
func TestUnknownFieldsArePassedOver(t *testing.T) {
	unknown := map[string][]byte{
		// All of them field 31.
		"varint":  {0xf8, 0x01, 0x05},
		"bytes":   {0xfa, 0x01, 0x02, 'h', 'i'},
		"fixed32": {0xfd, 0x01, 1, 2, 3, 4},
		"fixed64": {0xf9, 0x01, 1, 2, 3, 4, 5, 6, 7, 8},
		"group":   {0xfb, 0x01, 0x08, 0x01, 0xfc, 0x01},
	}
	for name, field := range unknown {
		t.Run(name, func(t *testing.T) {
			body := append(bytes.Clone(field), 0x08, 0x07) // then call = 7
			for k, empty := range frames {
				if k == wire.KindOpen || k == wire.KindBeat || k == wire.KindAsk || k == wire.KindServed {
					continue // their first field is not the call
				}
				f := empty()
				if err := f.Parse(body); err != nil {
					t.Errorf("%v: %v", k, err)
				} else if reflect.ValueOf(f).Elem().FieldByName("Call").Uint() != 7 {
					t.Errorf("%v: %+v", k, f)
				}
			}
			packet := wire.Cancel{Call: 7}.Append(bytes.Clone(field))
			if k, _, _, err := wire.Next(packet); k != wire.KindCancel || err != nil {
				t.Errorf("Next: %v, %v", k, err)
			}
		})
	}
}

func TestAnUnknownKindIsNamedAndNotSkipped(t *testing.T) {
	packet := []byte{0x0a, 0x05, 99<<3&0x7f | 2 | 0x80, 99 >> 4, 0x02, 'h', 'i'}
	packet = wire.Cancel{Call: 7}.Append(packet)
	k, _, rest, err := wire.Next(packet)
	unknown, ok := errors.AsType[*wire.UnknownFrameError](err)
	if k != 0 || !ok || unknown.Number != 99 || !strings.Contains(err.Error(), "99") {
		t.Fatalf("%v, %v", k, err)
	}
	if k, _, _, err := wire.Next(rest); k != wire.KindCancel || err != nil {
		t.Errorf("behind it: %v, %v", k, err)
	}
	if _, err := wire.Number(packet); err != nil {
		t.Errorf("Number looks at kinds: %v", err)
	}
}

func TestMetadataIsWrittenInTheOrderOfItsKeys(t *testing.T) {
	md := map[string]string{}
	for _, k := range strings.Split("the quick brown fox jumps over a lazy dog", " ") {
		md[k] = k
	}
	want := wire.First{Metadata: md}.Append(nil)
	for range 50 {
		if got := (wire.First{Metadata: md}).Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("two encodings of one map:\n%x\n%x", got, want)
		}
	}
}

func TestOfEqualMetadataKeysTheLastCounts(t *testing.T) {
	var f wire.First
	if err := f.Parse(marshal(&wirepb.First{Metadata: []*wirepb.Pair{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}}})); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Metadata, map[string]string{"k": "2"}) {
		t.Errorf("%v", f.Metadata)
	}
}

func TestAnErrorInTwoPiecesIsMerged(t *testing.T) {
	body := marshal(&wirepb.End{Error: &wirepb.Error{Code: "failed", Type: "halted"}})
	body = append(body, marshal(&wirepb.End{Error: &wirepb.Error{Code: "gone"}})...)
	var f wire.End
	if err := f.Parse(body); err != nil || f.Error.Code != "gone" || f.Error.Type != "halted" {
		t.Errorf("%v, %+v", err, f.Error)
	}
}

func TestVersionsMayComeOneByOne(t *testing.T) {
	var f wire.Served
	if err := f.Parse([]byte{0x10, 0x01, 0x12, 0x02, 0x02, 0x03, 0x10, 0x04}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Versions, []uint32{1, 2, 3, 4}) {
		t.Errorf("%v", f.Versions)
	}
}

// Peers in other languages refuse a whole message for a bad string.
func TestTextThatIsNotUTF8IsSentAsReplacementCharacters(t *testing.T) {
	got := wire.End{Error: &wire.Error{Message: "a\xff\xfeb"}}.Append(nil)
	want := wire.End{Error: &wire.Error{Message: "a\uFFFDb"}}.Append(nil)
	if !bytes.Equal(got, want) {
		t.Errorf("\n got %x\nwant %x", got, want)
	}
}

func TestMalformedBytesAreErrorsThatSayWhatIsWrong(t *testing.T) {
	next := func(b []byte) error { _, _, _, err := wire.Next(b); return err }
	number := func(b []byte) error { _, err := wire.Number(b); return err }
	element := func(b []byte) error { _, _, err := wire.NextElement(b); return err }
	for _, c := range []struct {
		name  string
		parse func([]byte) error
		bytes string
		says  string
	}{
		{"a frame beyond the packet's end", next, "\x0a\x05\x22", "malformed packet: field 1 is cut off"},
		{"a frame beyond the packet's end, for the number", number, "\x0a\x05\x22", "malformed packet: field 1 is cut off"},
		{"a length of 64 bits", next, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "malformed packet: field 1 is cut off"},
		{"a length of more than 64 bits", next, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "malformed packet: field 1 is not a valid value"},
		{"frames as a number", next, "\x08\x01", "malformed packet: field 1 has wire type 0, not 2"},
		{"the number as bytes", number, "\x12\x00", "malformed packet: field 2 has wire type 2, not 0"},
		{"the number as bytes, before a frame", next, "\x12\x00\x0a\x02\x4a\x00", "malformed packet: field 2 has wire type 2, not 0"},
		{"field zero", next, "\x02\x00", "malformed packet: no field starts"},
		{"a field number too large", number, "\x80\x80\x80\x80\x10\x00", "malformed packet: no field starts"},
		{"the end of a group", number, "\x1c", "malformed packet: field 3 is not a valid value"},
		{"a wire type that does not exist", number, "\x1e", "malformed packet: field 3 is not a valid value"},
		{"text", number, "hello", "malformed packet: field 13"},
		{"a frame without a kind", next, "\x0a\x00", "malformed frame: it has no kind"},
		{"a frame of two kinds", next, "\x0a\x04\x4a\x00\x4a\x00", "malformed frame: it goes on after field 9"},
		{"a kind as a number", next, "\x0a\x02\x48\x01", "malformed frame: field 9 has wire type 0, not 2"},
		{"a kind cut off", next, "\x0a\x01\x4a", "malformed frame: field 9 is cut off"},
		{"a call as bytes", new(wire.Credit).Parse, "\x0a\x00", "malformed credit: field 1 has wire type 2, not 0"},
		{"a call cut off", new(wire.Reset).Parse, "\x08\x80", "malformed reset: field 1 is cut off"},
		{"a client as a number", new(wire.Open).Parse, "\x20\x01", "malformed open: field 4 has wire type 0, not 2"},
		{"a client that is not UTF-8", new(wire.Open).Parse, "\x22\x01\xff", "malformed open: field 4 is not UTF-8"},
		{"a protocol beyond 32 bits", new(wire.Open).Parse, "\x08\x81\x80\x80\x80\x10", "malformed open: field 1: 4294967297 does not fit 32 bits"},
		{"metadata that is no pair", new(wire.First).Parse, "\x1a\x01\x0a", "malformed first pair: field 1 is cut off"},
		{"metadata as a number", new(wire.First).Parse, "\x18\x01", "malformed first: field 3 has wire type 0, not 2"},
		{"an error that is none", new(wire.End).Parse, "\x22\x02\x08\x01", "malformed error: field 1 has wire type 0, not 2"},
		{"an error as a number", new(wire.Fault).Parse, "\x18\x01", "malformed fault: field 3 has wire type 0, not 2"},
		{"a beat's call as a number", new(wire.Beat).Parse, "\x20\x01", "malformed beat: field 4 has wire type 0, not 2"},
		{"a beat's call that is none", new(wire.Beat).Parse, "\x22\x01\x08", "malformed beat call: field 1 is cut off"},
		{"versions cut off", new(wire.Served).Parse, "\x12\x01\x80", "malformed served: field 2: it is not a list"},
		{"a version beyond 32 bits", new(wire.Served).Parse, "\x10\x80\x80\x80\x80\x10", "malformed served: field 2: 4294967296 does not fit"},
		{"elements as a number", new(wire.Data).Parse, "\x08\x01\x30\x01", "malformed data: field 6 has wire type 0, not 2"},
		{"steps cut off", new(wire.Feed).Parse, "\x22\x01\x80", "malformed feed: field 4: it is not a list"},
		{"no element", element, "", "malformed data: an element ends too early"},
		{"an element beyond the end", element, "\x32\x02a", "malformed data: an element ends too early"},
		{"a length cut off", element, "\x32\x80", "malformed data: an element ends too early"},
		{"a field behind the elements", element, "\x3a\x01a", "malformed data: tag 0x3a among the elements, not 0x32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.parse([]byte(c.bytes))
			if !errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// Each proper beginning of a packet ends in an error or in fewer frames.
func TestACutPacketNeverLooksWhole(t *testing.T) {
	packet := wire.First{Call: 7, Seq: 1, Metadata: map[string]string{"k": "v"}, Data: make([]byte, 200)}.Append(nil)
	packet = wire.End{Call: 7, Seq: 2, Error: &wire.Error{Code: "failed"}}.Append(packet)
	for n := range len(packet) {
		frames := 0
		for rest := packet[:n]; ; frames++ {
			k, _, more, err := wire.Next(rest)
			if k == 0 || err != nil {
				break
			}
			rest = more
		}
		if frames == 2 {
			t.Errorf("%d of %d bytes gave both frames", n, len(packet))
		}
	}
}

func TestReadingAndWritingDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 4096)
	open := wire.Open{Protocol: 1, Call: 7, TimeoutUS: 1e6, SentUS: 5e9, Metadata: map[string]string{}, Query: make([]byte, 100)}
	for _, k := range strings.Split("abcdefghijklmnop", "") {
		open.Metadata[k] = k
	}
	answer := wire.First{Call: 7, Seq: 1, Data: make([]byte, 200)}
	beat := wire.Beat{From: "instance", Calls: make([]wire.BeatCall, 20)}
	end := wire.End{Call: 7, Error: &wire.Error{Code: "failed", Message: "why"}}
	elements := marshal(&wirepb.Data{Elements: [][]byte{make([]byte, 10), make([]byte, 300)}})
	data := wire.Data{Call: 7, Seq: 3, Elements: elements}.Append(nil)
	for name, f := range map[string]func(){
		"open":   func() { open.Append(dst) },
		"answer": func() { answer.Append(dst) },
		"beat":   func() { beat.Append(dst) },
		"end":    func() { end.Append(dst) },
		"credit": func() { wire.Credit{Call: 7, Total: 1 << 20, Peer: 1 << 22}.Append(dst) },
		"number": func() { wire.AppendNumber(dst, 1<<40) },
		"data": func() {
			var d wire.Data
			_, _ = wire.Number(data)
			_, body, _, _ := wire.Next(data)
			if err := d.Parse(body); err != nil {
				t.Fatal(err)
			}
			for records := d.Elements; len(records) > 0; {
				_, records, _ = wire.NextElement(records)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	// One, and with the race detector another one.
	if n := testing.AllocsPerRun(100, func() { open.Append(nil) }); n > 2 {
		t.Errorf("a packet begun with a frame: %v allocations", n)
	}
}
