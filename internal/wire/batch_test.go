// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/internal/wire/wirepb"
)

// appending returns an encode function for data.
func appending(data []byte) func([]byte) ([]byte, error) {
	return func(dst []byte) ([]byte, error) { return append(dst, data...), nil }
}

// fit adds data to b and fails the test if that fails.
func fit(t *testing.T, b *wire.Batch, data []byte) {
	t.Helper()
	if err := b.Append(appending(data)); err != nil {
		t.Fatal(err)
	}
}

// isPacketOf fails the test unless b's packet is what generated code writes.
func isPacketOf(t *testing.T, b *wire.Batch, head wire.Data, elements [][]byte) {
	t.Helper()
	frame := generated(wire.KindData, &head)
	frame.GetData().Elements = elements
	if got, want := b.Packet(head), marshal(&wirepb.Packet{Frames: []*wirepb.Frame{frame}}); !bytes.Equal(got, want) {
		t.Fatalf("packet of %d elements\n got %x\nwant %x", len(elements), got, want)
	}
	if b.Count() != len(elements) {
		t.Fatalf("Count %d, want %d", b.Count(), len(elements))
	}
	if got, want := b.Size(), len(marshal(&wirepb.Data{Elements: elements})); got != want {
		t.Fatalf("Size %d, want %d", got, want)
	}
}

func TestABatchIsThePacketThatGeneratedCodeWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var b wire.Batch
	for range 300 {
		var elements [][]byte
		for range r.IntN(20) {
			data := bytes.Repeat([]byte{byte(r.Int())}, randomLength(r)*r.IntN(100))
			elements = append(elements, data)
			if r.IntN(2) == 0 {
				b.AppendBytes(data)
			} else {
				fit(t, &b, data)
			}
		}
		head := randomData(r)
		head.Elements = nil
		isPacketOf(t, &b, head, elements)
		b.Reset()
	}
}

func TestABatchWithoutElementsIsAPacketToo(t *testing.T) {
	var b wire.Batch
	isPacketOf(t, &b, wire.Data{Call: 7, Seq: 1, Blocked: wire.BlockedOnPeer}, nil)
	b.Reset()
	isPacketOf(t, &b, wire.Data{}, nil)
}

func TestThePacketMayBeAskedForAgainWithAnotherHead(t *testing.T) {
	var b wire.Batch
	fit(t, &b, []byte("one"))
	isPacketOf(t, &b, wire.Data{Call: 1 << 60, Seq: 1 << 60, Before: 1 << 60, Last: 1 << 60, Blocked: 1 << 30}, [][]byte{[]byte("one")})
	isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one")})
	fit(t, &b, []byte("two"))
	isPacketOf(t, &b, wire.Data{Call: 2}, [][]byte{[]byte("one"), []byte("two")})
}

func TestAFailedElementLeavesTheBatchAsItWas(t *testing.T) {
	failure := errors.New("no encoding")
	for name, encode := range map[string]func([]byte) ([]byte, error){
		"error":                func(dst []byte) ([]byte, error) { return append(dst, "half of it"...), failure },
		"error, nothing":       func([]byte) ([]byte, error) { return nil, failure },
		"shorter":              func(dst []byte) ([]byte, error) { return dst[:len(dst)-1], nil },
		"nothing":              func([]byte) ([]byte, error) { return nil, nil },
		"bytes of its own":     func([]byte) ([]byte, error) { return []byte(`"JSON"`), nil },
		"long ones of its own": func([]byte) ([]byte, error) { return make([]byte, 1000), nil },
	} {
		t.Run(name, func(t *testing.T) {
			var b wire.Batch
			fit(t, &b, []byte("one"))
			err := b.Append(encode)
			if err == nil || (strings.HasPrefix(name, "error") != errors.Is(err, failure)) {
				t.Errorf("error %v", err)
			}
			isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one")})
			fit(t, &b, []byte("two"))
			isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one"), []byte("two")})
		})
	}
}

func TestAnEncoderThatPanicsLeavesTheBatchAsItWas(t *testing.T) {
	var b wire.Batch
	fit(t, &b, []byte("one"))
	func() {
		defer func() { _ = recover() }()
		_ = b.Append(func(dst []byte) ([]byte, error) { panic("in a codec") })
	}()
	isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one")})
}

func TestTheNewestElementsCanBeCutOff(t *testing.T) {
	var b wire.Batch
	fit(t, &b, []byte("one"))
	fit(t, &b, make([]byte, 200))
	fit(t, &b, []byte("three"))
	if n := b.LastSize(); n != 2+len("three") {
		t.Errorf("LastSize %d", n)
	}
	if cut := b.CutLast([]byte("> ")); string(cut) != "> three" {
		t.Errorf("cut %q", cut)
	}
	if n := b.LastSize(); n != 3+200 {
		t.Errorf("LastSize after a cut %d", n)
	}
	if cut := b.CutLast(nil); !bytes.Equal(cut, make([]byte, 200)) {
		t.Errorf("cut %d bytes", len(cut))
	}
	isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one")})
	b.AppendBytes([]byte("two"))
	isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one"), []byte("two")})
	b.CutLast(nil)
	b.CutLast(nil)
	if cut := b.CutLast([]byte("as it was")); string(cut) != "as it was" || b.LastSize() != 0 || b.Size() != 0 {
		t.Errorf("an empty batch gave %q, LastSize %d, Size %d", cut, b.LastSize(), b.Size())
	}
}

func TestTheOnlyElementIsTakenWithItsBuffer(t *testing.T) {
	great := make([]byte, 1<<20)
	var b wire.Batch
	b.AppendBytes(great)
	if data := b.TakeLast(); !bytes.Equal(data, great) || b.Count() != 0 || b.Cap() > 0 {
		t.Errorf("%d bytes were taken; %d elements and a buffer of %d are left", len(data), b.Count(), b.Cap())
	}
	b.AppendBytes([]byte("one"))
	b.AppendBytes(great)
	if data := b.TakeLast(); !bytes.Equal(data, great) {
		t.Errorf("%d bytes were taken", len(data))
	}
	isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one")})
}

func TestAppendingToAPacketDoesNotReachTheBatch(t *testing.T) {
	var b wire.Batch
	fit(t, &b, []byte("one"))
	_ = wire.AppendNumber(b.Packet(wire.Data{}), 1<<60)
	fit(t, &b, []byte("two"))
	isPacketOf(t, &b, wire.Data{Call: 1}, [][]byte{[]byte("one"), []byte("two")})
}

// The elements of a stream are mostly alike. Where the prediction is right, an
// element is not moved.
func TestTheRoomForALengthIsThatOfTheLastOne(t *testing.T) {
	var b wire.Batch
	room := func(next int) (n int) {
		before := b.Size()
		if err := b.Append(func(dst []byte) ([]byte, error) {
			n = len(dst) - before
			return append(dst, make([]byte, next)...), nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := room(10)
	for i, c := range []struct{ next, more int }{{200, 0}, {20_000, 1}, {10, 2}, {10, 0}} {
		if got := room(c.next); got != first+c.more {
			t.Errorf("element %d found %d bytes of room, want %d", i+2, got, first+c.more)
		}
	}
}

func TestAMuchLargerBufferThanThePacketIsLetGo(t *testing.T) {
	small, great := make([]byte, 10_000), make([]byte, 1<<20)
	for _, c := range []struct {
		name  string
		fill  func(*wire.Batch)
		keeps bool
	}{
		{"small elements", func(b *wire.Batch) { b.AppendBytes(small) }, true},
		{"great ones", func(b *wire.Batch) { b.AppendBytes(great) }, true},
		{"a great one that was cut off", func(b *wire.Batch) {
			b.AppendBytes(small)
			b.AppendBytes(great)
			b.CutLast(nil)
		}, false},
	} {
		var b wire.Batch
		c.fill(&b)
		if b.Keeps() != c.keeps {
			t.Errorf("after %s: the buffer of %d bytes is kept: %t", c.name, b.Cap(), b.Keeps())
		}
	}
}

func TestAnEmptyBatchHasNoBuffer(t *testing.T) {
	var b wire.Batch
	for range 3 {
		b.AppendBytes(make([]byte, 100))
		if b.Cap() == 0 {
			t.Error("an element is nowhere")
		}
		b.Packet(wire.Data{Call: 7})
		b.Reset()
		if b.Cap() > 0 {
			t.Errorf("%d bytes are held for nothing", b.Cap())
		}
	}
}

// FuzzBatch does what the bytes say, two of them a step, to a batch and to a
// list of elements.
func FuzzBatch(f *testing.F) {
	f.Add([]byte{0, 5, 0, 200, 1, 16, 2, 9, 3, 0, 4, 0, 0, 1, 5, 0, 0, 3})
	f.Add([]byte{3, 0, 4, 0, 5, 0, 2, 0, 0, 0})
	f.Add(bytes.Repeat([]byte{0, 255, 0, 1, 3, 0, 6, 7}, 40))
	f.Fuzz(func(t *testing.T, steps []byte) {
		var b wire.Batch
		var model [][]byte
		for i := 0; i+1 < len(steps) && i < 200; i += 2 {
			size := int(steps[i+1])
			if steps[i]>>3 == 0x1f { // few are long
				size *= 33
			}
			data := bytes.Repeat(steps[i+1:i+2], size)
			switch steps[i] & 7 {
			case 0, 6, 7:
				fit(t, &b, data)
				model = append(model, data)
			case 1:
				b.AppendBytes(data)
				model = append(model, data)
			case 2:
				if b.Append(func(dst []byte) ([]byte, error) { return append(dst, data...), errors.ErrUnsupported }) == nil {
					t.Fatal("an error got lost")
				}
			case 3:
				cut := b.CutLast([]byte("> "))
				want := []byte("> ")
				if n := len(model); n > 0 {
					want = append(want, model[n-1]...)
					model = model[:n-1]
				}
				if !bytes.Equal(cut, want) {
					t.Fatalf("step %d: cut %x, want %x", i/2, cut, want)
				}
			case 4:
				isPacketOf(t, &b, wire.Data{Call: uint64(len(data)), Seq: uint64(i)}, model)
			case 5:
				b.Reset()
				model = nil
			}
			last := 0
			if n := len(model); n > 0 && steps[i+1]&1 == 0 { // not always, as asking looks for it
				last = len(marshal(&wirepb.Data{Elements: model[n-1:]}))
			}
			if steps[i+1]&1 == 0 && b.LastSize() != last {
				t.Fatalf("step %d: LastSize %d, want %d", i/2, b.LastSize(), last)
			}
		}
		isPacketOf(t, &b, wire.Data{Call: 7}, slices.Clone(model))
	})
}
