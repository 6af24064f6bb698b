// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
)

func TestAReusedValueHasNothingOfTheOneBefore(t *testing.T) {
	codec := bus.CodecFor[*structpb.Value](bus.Reusing(nil))
	var v *structpb.Value
	var first *structpb.Value
	for i, want := range []*structpb.Value{
		structpb.NewStringValue("a string"), structpb.NewNumberValue(4),
		{},
		structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewBoolValue(true)}}),
		structpb.NewListValue(&structpb.ListValue{}),
	} {
		data, err := codec.Append(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		if err := codec.DecodeTo(&v, data); err != nil || !proto.Equal(v, want) {
			t.Errorf("value %d is %v, want %v; error %v", i, v, want, err)
		}
		if i == 0 {
			first = v
		}
	}
	if v != first {
		t.Error("the message was not used again")
	}
	if kept, err := codec.Decode(nil); err != nil || kept == v {
		t.Errorf("a value of its own is the reused one; error %v", err)
	}
}

func TestJSONIsNotReused(t *testing.T) {
	type pair struct{ A, B int }
	for name, c := range map[string]bus.Codec{"named": bus.Reusing(bus.JSON), "by default": bus.Reusing(nil)} {
		codec := bus.CodecFor[pair](c)
		v := pair{1, 2}
		if err := codec.DecodeTo(&v, []byte(`{"B":3}`)); err != nil || v != (pair{0, 3}) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	asked := bus.CodecFor[*wrapperspb.Int64Value](bus.Reusing(bus.Proto)).As(bus.ContentTypeJSON)
	v := wrapperspb.Int64(1)
	before := v
	if err := asked.DecodeTo(&v, []byte(`"2"`)); err != nil || v == before || v.Value != 2 {
		t.Errorf("%v, %v", v, err)
	}
}

// TestAReaderOfReusedValuesNeedsNoMemoryForThem over a whole stream.
func TestAReaderOfReusedValuesNeedsNoMemoryForThem(t *testing.T) {
	rpc := piperpc.RPC[[]byte, *wrapperspb.Int64Value]{Name: "reused", Version: 1}
	const n = 100
	server := bus.Local(rpc.Handler(func(context.Context, []byte) (iter.Seq2[*wrapperspb.Int64Value, error], error) {
		return func(yield func(*wrapperspb.Int64Value, error) bool) {
			v := wrapperspb.Int64(0)
			for range n {
				if v.Value++; !yield(v, nil) {
					return
				}
			}
		}, nil
	}))
	rpc.Codec = bus.Reusing(nil) // of the reader's copy
	values := map[*wrapperspb.Int64Value]bool{}
	updates, err := rpc.Client(server)(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for v, err := range updates {
		if want++; err != nil || v.Value != want {
			t.Fatalf("%v, %v; want %d", v, err, want)
		}
		values[v] = true
	}
	if want != n || len(values) != 1 {
		t.Errorf("%d updates in %d values", want, len(values))
	}
}

// BenchmarkDecode tells what an update costs its reader, each in a value of its
// own and all in one.
func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name  string
		codec bus.Codec
	}{{"fresh", bus.Proto}, {"reused", bus.Reusing(bus.Proto)}} {
		b.Run(c.name, func(b *testing.B) {
			codec := bus.CodecFor[*wrapperspb.BytesValue](c.codec)
			v := wrapperspb.Bytes(make([]byte, 16))
			data, err := codec.Append(nil, &v)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := codec.DecodeTo(&v, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
