// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"google.golang.org/protobuf/proto"

	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/internal/wire/wirepb"
)

// A parsed frame and its kind.
type parsed struct {
	kind  wire.Kind
	frame frame
}

// parse reads all of a packet, elements too.
func parse(t *testing.T, packet []byte) (fs []parsed, number uint64, err error) {
	if number, err = wire.Number(packet); err != nil {
		return nil, 0, err
	}
	for rest := packet; ; {
		k, body, more, err := wire.Next(rest)
		if err != nil || k == 0 {
			return fs, number, err
		}
		if len(more) >= len(rest) {
			t.Fatalf("Next leaves %d of %d bytes", len(more), len(rest))
		}
		rest = more
		isWithin(t, body, packet)
		f := frames[k]()
		if err := f.Parse(body); err != nil {
			return nil, 0, err
		}
		if n := weight(reflect.ValueOf(f)); n > 2*len(body) {
			t.Fatalf("%d bytes became %d things: %+v", len(body), n, f)
		}
		isForgotten(t, k, f, body)
		if err := checkBytes(t, f, body); err != nil {
			return nil, 0, err
		}
		fs = append(fs, parsed{k, f})
	}
}

// used are frames that were parsed before, of each kind.
var used = map[wire.Kind]frame{}

// isForgotten fails the test unless a frame that was used before becomes the same.
func isForgotten(t *testing.T, k wire.Kind, f frame, body []byte) {
	if used[k] == nil {
		used[k] = frames[k]()
	}
	if err := used[k].Parse(body); err != nil || !reflect.DeepEqual(used[k], f) {
		t.Fatalf("a frame that was used before became %+v, %v; want %+v", used[k], err, f)
	}
}

// weight is how many bytes of strings and elements of lists v has: what a sender can
// have allocated by it.
func weight(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return weight(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += weight(v.Field(i))
		}
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		return v.Len()
	case reflect.Map:
		for m := v.MapRange(); m.Next(); {
			n += 1 + m.Key().Len() + m.Value().Len()
		}
	}
	return n
}

// checkBytes fails the test if what f shares with body reaches beyond its own
// bytes, and returns the error of malformed elements.
func checkBytes(t *testing.T, f frame, body []byte) error {
	switch f := f.(type) {
	case *wire.Open:
		isWithin(t, f.Query, body)
	case *wire.First:
		isWithin(t, f.Data, body)
	case *wire.Chunk:
		isWithin(t, f.Data, body)
	case *wire.Fault:
		if f.Error != nil {
			isWithin(t, f.Error.Detail, body)
		}
	case *wire.End:
		if f.Error != nil {
			isWithin(t, f.Error.Detail, body)
		}
	case *wire.Data:
		return recordsWithin(t, f.Elements, body)
	case *wire.Feed:
		return recordsWithin(t, f.Elements, body)
	}
	return nil
}

func recordsWithin(t *testing.T, records, body []byte) error {
	t.Helper()
	isWithin(t, records, body)
	for len(records) > 0 {
		element, rest, err := wire.NextElement(records)
		if err != nil {
			return err
		}
		isWithin(t, element, records)
		records = rest
	}
	return nil
}

// isWithin fails the test unless part lies in whole and has no room behind it.
func isWithin(t *testing.T, part, whole []byte) {
	t.Helper()
	if len(part) == 0 {
		return
	}
	start := uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	if start > uintptr(len(whole)) || len(part) > len(whole)-int(start) {
		t.Fatalf("%d bytes at %d lie outside of %d", len(part), start, len(whole))
	}
	if cap(part) > len(part) {
		t.Fatalf("%d bytes have room for %d: appending to them would overwrite the packet", len(part), cap(part))
	}
}

func write(fs []parsed, number uint64) []byte {
	var packet []byte
	for _, p := range fs {
		packet = p.frame.Append(packet)
	}
	return wire.AppendNumber(packet, number)
}

// FuzzPacket holds reading against generated code: what is accepted means the
// same to both, and what generated code would have written is accepted and
// written again byte for byte.
func FuzzPacket(f *testing.F) {
	r := rand.New(rand.NewPCG(4, 4))
	for k := wire.KindOpen; k <= wire.KindFeed; k++ {
		f.Add(wire.AppendNumber(randomFrame(r, k).Append(randomFrame(r, k).Append(nil)), 1))
	}
	for _, g := range golden {
		f.Add(g.packet)
	}
	f.Add([]byte("\x0a\x04\x22\x02\x32\x00\x10\x07"))
	f.Add([]byte("\x0a\x06\x22\x04\x32\x01a\x38\xfb\x01\x08\x01\xfc\x01"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		var theirs wirepb.Packet
		theirErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(packet, &theirs)
		canonical := theirErr == nil && isCanonical(&theirs) && bytes.Equal(marshal(&theirs), packet)

		ours, number, err := parse(t, packet)
		if err != nil {
			if canonical {
				t.Fatalf("refused: %v\n%v", err, &theirs)
			}
			return
		}
		if theirErr != nil {
			t.Fatalf("accepted what generated code refuses: %v\n%+v", theirErr, ours)
		}
		twin := &wirepb.Packet{Number: number}
		for _, p := range ours {
			twin.Frames = append(twin.Frames, generated(p.kind, p.frame))
		}
		normalize(&theirs)
		if !proto.Equal(twin, &theirs) {
			t.Fatalf("read differently:\nhere      %v\ngenerated %v", twin, &theirs)
		}

		for _, p := range ours {
			shorten(p.frame)
		}
		again := write(ours, number)
		if canonical && !bytes.Equal(again, packet) {
			t.Fatalf("written differently:\n got %x\nwant %x", again, packet)
		}
		if want := marshal(twin); !bytes.Equal(again, want) {
			t.Fatalf("written differently from generated code:\n got %x\nwant %x", again, want)
		}
		back, n, err := parse(t, again)
		if err != nil || n != number || !bytes.Equal(write(back, n), again) {
			t.Fatalf("what was written does not read as itself: %v", err)
		}
		for i := range back {
			if twice := generated(back[i].kind, back[i].frame); !proto.Equal(twice, twin.Frames[i]) {
				t.Fatalf("frame %d became %v, was %v", i, twice, twin.Frames[i])
			}
		}
	})
}

// shorten writes the records of f anew: they are kept as they came, and may say
// their length in more bytes than it needs.
func shorten(f frame) {
	switch f := f.(type) {
	case *wire.Data:
		f.Elements = shortened(f.Elements)
	case *wire.Feed:
		f.Elements = shortened(f.Elements)
	}
}

func shortened(records []byte) []byte {
	var b wire.Batch
	for len(records) > 0 {
		element, rest, err := wire.NextElement(records)
		if err != nil {
			return records
		}
		b.AppendBytes(element)
		records = rest
	}
	return bytes.Clone(b.Records())
}

// isCanonical reports whether p is something that this package writes.
func isCanonical(p *wirepb.Packet) bool {
	for _, f := range p.GetFrames() {
		if f.GetKind() == nil {
			return false
		}
	}
	copied := proto.Clone(p).(*wirepb.Packet)
	normalize(copied)
	return proto.Equal(copied, p)
}

// normalize sorts metadata and keeps the last of equal keys.
func normalize(p *wirepb.Packet) {
	for _, f := range p.GetFrames() {
		if open := f.GetOpen(); open != nil {
			open.Metadata = normalized(open.GetMetadata())
		}
		if first := f.GetFirst(); first != nil {
			first.Metadata = normalized(first.GetMetadata())
		}
	}
}

func normalized(pairs []*wirepb.Pair) (out []*wirepb.Pair) {
	md := map[string]string{}
	for _, p := range pairs {
		md[p.GetKey()] = p.GetValue()
	}
	for _, k := range slices.Sorted(maps.Keys(md)) {
		out = append(out, &wirepb.Pair{Key: k, Value: md[k]})
	}
	return out
}

func TestParsedFramesDoNotChangeWithThePacketExceptTheirBytes(t *testing.T) {
	packet := wire.Open{Client: "client", ContentType: "text", Metadata: map[string]string{"k": "v"}, Query: []byte("query")}.Append(nil)
	_, body, _, _ := wire.Next(packet)
	var f wire.Open
	if err := f.Parse(body); err != nil {
		t.Fatal(err)
	}
	clear(packet)
	want := wire.Open{Client: "client", ContentType: "text", Metadata: map[string]string{"k": "v"}, Query: make([]byte, 5)}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("%+v", f)
	}
}
