// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

type (
	symbol  string
	symbols []symbol
	nested  []nested
	knot    *knot
	tree    struct {
		Name     string
		Children []*tree
	}
	base struct {
		ID    int `json:"id"`
		Shade string
	}
	shadowed struct {
		*base
		Shade int
		Price float64        `json:"price,string"`
		Left  int            `json:"-"`
		When  time.Time      `json:",omitempty"`
		By    map[symbol]any `json:"by"`
		note  string
	}
	twice struct{ A, B base }
)

func TestAGoTypeIsDescribedAsJSONSeesIt(t *testing.T) {
	_ = shadowed{}.note
	for want, v := range map[string]any{
		"none":     nil,
		"string":   symbol(""),
		"[]string": symbols(nil),
		"bytes":    []byte(nil),
		"[2]int64": [2]int{},
		"*bool":    new(bool),
		"[]itself": nested(nil),
		"*itself":  knot(nil),
		`#1{"A" #2{"Shade" string, "id" int64}, "B" #2}`:                                                  twice{},
		`#1{"Children" []*#1, "Name" string}`:                                                             tree{},
		`#1{"Shade" int64, "When" time.Time, "by" map string to any, "id" int64, "price" quoted float64}`: shadowed{},
	} {
		if got := Text(reflect.TypeOf(v)); got != want {
			t.Errorf("%T: got %s, want %s", v, got, want)
		}
	}
}

func TestNamesAndOrderInGoDoNotChangeADigest(t *testing.T) {
	type before struct {
		Symbol string
		Bid    float64
	}
	type after struct {
		Price float64 `json:"Bid"`
		Name  symbol  `json:"Symbol,omitempty"`
	}
	type widened struct {
		Symbol string
		Bid    float64
		Ask    float64
	}
	digest := func(v any) string { return Digest(Text(reflect.TypeOf(v))) }
	if digest(before{}) != digest(after{}) {
		t.Error("what looks the same on the wire has two digests")
	}
	if digest(before{}) == digest(widened{}) {
		t.Error("a new field has the old digest")
	}
	if got := digest(before{}); got != "c22da80af74903c9" {
		t.Errorf("the digest is %s in this build: deployed menus have another", got)
	}
}

func TestAMessageIsDescribedByItsFieldsNumbers(t *testing.T) {
	if got, want := Text(reflect.TypeFor[*durationpb.Duration]()), `#1{1 "seconds" int64, 2 "nanos" int32}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got := Text(reflect.TypeFor[*structpb.Value]())
	want := `#1{1 "nullValue" oneof kind #2(0 NULL_VALUE), 2 "numberValue" oneof kind double, 3 "stringValue" oneof kind string, ` +
		`4 "boolValue" oneof kind bool, 5 "structValue" oneof kind #3{1 "fields" map string to #1}, ` +
		`6 "listValue" oneof kind #4{1 "values" []#1}}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDescriptorsComeWithAllThatTheyImport(t *testing.T) {
	b, err := Descriptors(nil, reflect.TypeFor[string](), reflect.TypeFor[*structpb.Value](), reflect.TypeFor[*structpb.Struct]())
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.File) != 1 || !strings.HasSuffix(set.File[0].GetName(), "struct.proto") {
		t.Errorf("got %v", set.File)
	}
	if b, err := Descriptors(reflect.TypeFor[string]()); b != nil || err != nil {
		t.Errorf("without a message: %q, %v", b, err)
	}
}
