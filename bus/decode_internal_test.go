// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/durabus/durabus/internal/wire"
)

// FuzzFeedFrame holds that the positions of a frame of a feed ascend within its span,
// and that what a responder would write of them reads the same.
func FuzzFeedFrame(f *testing.F) {
	body := func(frame wire.Feed) []byte {
		_, body, _, _ := wire.Next(frame.Append(nil))
		return body
	}
	var three wire.Batch
	for _, s := range []string{"a", "", "c"} {
		three.AppendBytes([]byte(s))
	}
	records := slices.Clone(three.Records())
	f.Add(body(wire.Feed{Before: 4, Last: 7, Elements: records}))
	f.Add(body(wire.Feed{Before: 4, Last: 9, Steps: []uint32{2, 0, 3}, Faults: []uint32{1}, Elements: records}))
	f.Add(body(wire.Feed{Before: 1<<64 - 4, Last: 1<<64 - 1, Elements: records}))
	f.Add(body(wire.Feed{Before: 4, Last: 4}))
	f.Add(body(wire.Feed{Before: 4, Last: 9, Steps: []uint32{2, 1<<32 - 1, 3}, Faults: []uint32{9}, Elements: records}))
	f.Fuzz(func(t *testing.T, body []byte) {
		var frame wire.Feed
		if frame.Parse(body) != nil {
			return
		}
		c, err := newChunk(&frame)
		if err != nil {
			return
		}
		if len(c.elements) > len(body)/2 || c.Before > c.Last {
			t.Fatalf("%d elements of %d bytes, from %d to %d", len(c.elements), len(body), c.Before, c.Last)
		}
		at, places, faults := c.Before, []uint64(nil), []uint32(nil)
		for i := range c.elements {
			e := &c.elements[i]
			if e.place < at || e.place > c.Last || i == 0 && e.place == at {
				t.Fatalf("element %d is at %d, behind %d of %d to %d", i, e.place, at, c.Before, c.Last)
			}
			at, places = e.place, append(places, e.place)
			if e.fault {
				faults = append(faults, uint32(i))
			}
		}
		again, err := newChunk(&wire.Feed{Before: c.Before, Last: c.Last, Steps: steps(c.Before, places), Faults: faults, Elements: frame.Elements})
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("places %v and faults %v of %+v, written again: %v", places, faults, c.Span, err)
		}
	})
}

// FuzzErrors holds that the text of an error, whoever wrote it, is bounded, fits a
// header, and comes over the wire as it is.
func FuzzErrors(f *testing.F) {
	f.Add("busy", "the limit", "I9", "T", []byte("d"), true)
	f.Add("overslept", "it was late\r\nNats-Service-Error-Code: 200", "", "", []byte(nil), false)
	f.Add("application error", strings.Repeat("ä", maxText), "", "T", []byte("{}"), true)
	f.Fuzz(func(t *testing.T, code, text, instance, typ string, detail []byte, ran bool) {
		d := Description{Name: "a.b", Version: 1, Kind: Unary}
		in := &wire.Error{Code: code, Message: text, MayHaveRun: ran, Instance: instance, CallID: instance, Type: typ, Detail: detail}
		e := fromWire(in, d)
		out := toWire(e)
		if utf8.ValidString(e.Message) && !utf8.ValidString(out.Message) || len(out.Message) > maxText+len("…") {
			t.Fatalf("%q became %q", e.Message, out.Message)
		}
		if knownCode(code) == Code(code) && len(text) <= maxText && !reflect.DeepEqual(emptied(*out), emptied(*in)) {
			t.Fatalf("%+v became %+v", in, out)
		}
		if back := toWire(fromWire(out, d)); back.Code != out.Code {
			t.Fatalf("code %q became %q", out.Code, back.Code)
		}
		header := oneLine(text)
		if len(header) > 256 || strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("a header of %q", header)
		}
	})
}

func emptied(e wire.Error) wire.Error {
	if len(e.Detail) == 0 {
		e.Detail = nil
	}
	return e
}

// FuzzNames holds that what is a name here is one on the wire: no wildcard, no empty
// token, and the subject of a request gives it back.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"market.price", "a", "a..b", ".a", "a.", "a.*", ">", "a b", "_D.a", "a.v2", "ä", strings.Repeat("a", 129)} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, name string, version int) {
		if checkDescription(Description{Name: name, Version: version, Kind: Unary}) != nil {
			return
		}
		if len(name) > maxName || strings.ContainsAny(name, "*> \t\r\n\x00") || slices.Contains(strings.Split(name, "."), "") {
			t.Fatalf("%q is taken for a name", name)
		}
		subject := wire.RequestSubject(name, version)
		n, v, ok := wire.ParseRequestSubject(subject)
		if !ok || n != name || v != version {
			t.Fatalf("%q became %q, %d, %t", subject, n, v, ok)
		}
	})
}
