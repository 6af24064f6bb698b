// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/internal/wire/wirepb"
)

// This file holds each frame against its twin in wirepb. The n-th field of a
// frame's struct is field n of the message.

// A frame is a pointer to one of the structs.
type frame interface {
	Append(dst []byte) []byte
	Parse(body []byte) error
}

// frames makes an empty frame of each kind.
var frames = map[wire.Kind]func() frame{
	wire.KindOpen:   func() frame { return new(wire.Open) },
	wire.KindAccept: func() frame { return new(wire.Accept) },
	wire.KindFirst:  func() frame { return new(wire.First) },
	wire.KindData:   func() frame { return new(wire.Data) },
	wire.KindChunk:  func() frame { return new(wire.Chunk) },
	wire.KindFault:  func() frame { return new(wire.Fault) },
	wire.KindEnd:    func() frame { return new(wire.End) },
	wire.KindCredit: func() frame { return new(wire.Credit) },
	wire.KindCancel: func() frame { return new(wire.Cancel) },
	wire.KindBeat:   func() frame { return new(wire.Beat) },
	wire.KindReset:  func() frame { return new(wire.Reset) },
	wire.KindAsk:    func() frame { return new(wire.Ask) },
	wire.KindServed: func() frame { return new(wire.Served) },
	wire.KindJoin:   func() frame { return new(wire.Join) },
	wire.KindFeed:   func() frame { return new(wire.Feed) },
}

// kindField is the field of Frame for k.
func kindField(k wire.Kind) protoreflect.FieldDescriptor {
	return new(wirepb.Frame).ProtoReflect().Descriptor().Fields().ByNumber(protoreflect.FieldNumber(k))
}

// generated returns the twin of f in a Frame.
func generated(k wire.Kind, f frame) *wirepb.Frame {
	out := new(wirepb.Frame)
	twin := out.ProtoReflect().Mutable(kindField(k)).Message()
	copyFields(twin, reflect.ValueOf(f).Elem())
	return out
}

func copyFields(twin protoreflect.Message, from reflect.Value) {
	for i := range from.NumField() {
		fd := twin.Descriptor().Fields().ByNumber(protoreflect.FieldNumber(i + 1))
		if fd == nil {
			panic(from.Type().Field(i).Name + " is not in wirepb: run go generate ./internal/wire/wirepb")
		}
		copyField(twin, fd, from.Field(i))
	}
}

func copyField(twin protoreflect.Message, fd protoreflect.FieldDescriptor, v reflect.Value) {
	switch v := v.Interface().(type) {
	case *wire.Error:
		if v != nil {
			copyFields(twin.Mutable(fd).Message(), reflect.ValueOf(v).Elem())
		}
	case map[string]string:
		pairs := twin.Mutable(fd).List()
		for _, key := range slices.Sorted(maps.Keys(v)) {
			pairs.Append(protoreflect.ValueOfMessage((&wirepb.Pair{Key: key, Value: v[key]}).ProtoReflect()))
		}
	case []wire.BeatCall:
		calls := twin.Mutable(fd).List()
		for _, c := range v {
			copyFields(calls.AppendMutable().Message(), reflect.ValueOf(c))
		}
	case []uint32:
		list := twin.Mutable(fd).List()
		for _, n := range v {
			list.Append(protoreflect.ValueOfUint32(n))
		}
	case []byte:
		if !fd.IsList() {
			twin.Set(fd, protoreflect.ValueOfBytes(v))
			return
		}
		list := twin.Mutable(fd).List()
		for len(v) > 0 {
			var element []byte
			element, v, _ = wire.NextElement(v)
			list.Append(protoreflect.ValueOfBytes(element))
		}
	default:
		twin.Set(fd, protoreflect.ValueOf(v))
	}
}

// fill sets all that v holds to random values: nothing, the edges of what one
// more byte can hold, and anything.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint32:
		v.SetUint(randomUint(r) & math.MaxUint32)
	case reflect.Uint64:
		v.SetUint(randomUint(r))
	case reflect.String:
		v.SetString(randomString(r))
	case reflect.Map:
		if n := r.IntN(20); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				v.SetMapIndex(reflect.ValueOf(randomString(r)), reflect.ValueOf(randomString(r)))
			}
		}
	case reflect.Slice:
		if n := randomLength(r); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i))
			}
		}
	case reflect.Uint8:
		v.SetUint(r.Uint64() & 0xff)
	default:
		panic("no random value for " + v.Type().String())
	}
}

func randomUint(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return 0
	case 1:
		return math.MaxUint64
	case 2:
		return uint64(1)<<(7*r.IntN(10)) - uint64(r.IntN(2))
	}
	return r.Uint64() >> r.IntN(64)
}

func randomLength(r *rand.Rand) int {
	return [...]int{0, 1, 2, 126, 127, 128, 129, 300}[r.IntN(8)]
}

func randomString(r *rand.Rand) string {
	alphabet := []rune("aZ0-._ \x00é語\U0001F680\uFFFD")
	var b strings.Builder
	for range randomLength(r) {
		b.WriteRune(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// randomFrame returns a frame of kind k.
func randomFrame(r *rand.Rand, k wire.Kind) frame {
	f := frames[k]()
	fill(r, reflect.ValueOf(f).Elem())
	switch f := f.(type) {
	case *wire.Data:
		f.Elements = randomRecords(r)
	case *wire.Feed:
		f.Elements = randomRecords(r)
	}
	return f
}

func randomData(r *rand.Rand) wire.Data { return *randomFrame(r, wire.KindData).(*wire.Data) }

func randomRecords(r *rand.Rand) (records []byte) {
	for range r.IntN(4) {
		element := make([]byte, randomLength(r))
		records = append(records, marshal(&wirepb.Data{Elements: [][]byte{element}})...)
	}
	return records
}

func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func TestEveryKindOfFrameHasItsFields(t *testing.T) {
	kinds := new(wirepb.Frame).ProtoReflect().Descriptor().Fields()
	if kinds.Len() != len(frames) {
		t.Errorf("frames.proto has %d kinds, the package %d", kinds.Len(), len(frames))
	}
	for k, empty := range frames {
		fd := kindField(k)
		if fd == nil || string(fd.Name()) != k.String() {
			t.Errorf("kind %d is %q here, and in frames.proto %v", k, k, fd)
			continue
		}
		sameFields(t, reflect.TypeOf(empty()).Elem(), fd.Message())
	}
	sameFields(t, reflect.TypeFor[wire.Error](), new(wirepb.Error).ProtoReflect().Descriptor())
	sameFields(t, reflect.TypeFor[wire.BeatCall](), new(wirepb.Beat_Call).ProtoReflect().Descriptor())
}

func sameFields(t *testing.T, here reflect.Type, there protoreflect.MessageDescriptor) {
	t.Helper()
	if here.NumField() != there.Fields().Len() {
		t.Errorf("%v has %d fields, %v has %d", here, here.NumField(), there.Name(), there.Fields().Len())
	}
	for i := range here.NumField() {
		fd := there.Fields().ByNumber(protoreflect.FieldNumber(i + 1))
		if fd == nil || !strings.EqualFold(here.Field(i).Name, strings.ReplaceAll(string(fd.Name()), "_", "")) {
			t.Errorf("%v.%s is not field %d of %v", here, here.Field(i).Name, i+1, there.Name())
		}
	}
}
