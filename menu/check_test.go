// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/unaryrpc"
)

type (
	quote1 struct{ Bid float64 }
	quote2 struct{ Bid, Ask float64 }
)

// quoting is a responder of market.quote.v1 that answers with an R.
func quoting[R any](instance string) bus.Caller {
	rpc := unaryrpc.RPC[string, R]{Name: "market.quote", Version: 1}
	h := rpc.Handler(func(context.Context, string) (r R, err error) { return r, nil })
	return bus.Wrap(bus.Local(h), func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			r, err := next(ctx, c)
			r.Instance = instance
			return r, err
		}
	})
}

func TestRespondersThatDifferAboutAVersionAreNamedWithBothDigests(t *testing.T) {
	fleet := cluster{instances: []string{"a", "b", "c"}, at: map[string]bus.Caller{
		"a": quoting[quote1]("a"), "b": quoting[quote2]("b"), "c": quoting[quote1]("c"),
	}}
	m, err := Fetch(t.Context(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	err = m.Check()
	if !errors.Is(err, bus.Invalid) {
		t.Fatalf("got %v", err)
	}
	one := unaryrpc.RPC[string, quote1]{}.Schema().Digest()
	two := unaryrpc.RPC[string, quote2]{}.Schema().Digest()
	for _, part := range []string{"market.quote.v1", one + " at a c", two + " at b"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	if got := m.Counts("market.quote"); !maps.Equal(got, map[int]int{1: 3}) {
		t.Errorf("instances by version: %v", got)
	}
}

func TestWhatAResponderDoesNotSayIsNoDifference(t *testing.T) {
	d := bus.Description{Name: "market.quote", Version: 1, Kind: bus.Unary}
	entry := func(digest, contentType string) Entry {
		return Entry{Description: d, ContentType: contentType, Digest: digest, Instances: []string{"i" + digest}}
	}
	pipe := entry("", "")
	pipe.Kind = bus.Pipe
	for name, tc := range map[string]struct {
		m    Menu
		want string
	}{
		"nothing":                  {nil, ""},
		"an older responder":       {Menu{entry("", ""), entry("1", bus.ContentTypeJSON)}, ""},
		"a digest":                 {Menu{entry("1", ""), entry("2", "")}, "schema, 1 at i1, 2 at i2"},
		"behind an older one":      {Menu{entry("", ""), entry("1", ""), entry("2", "")}, "schema, 1 at i1, 2 at i2"},
		"a content type":           {Menu{entry("1", "a/b"), entry("1", "c/d")}, "content type, a/b at i1, c/d at i1"},
		"a kind":                   {Menu{entry("1", ""), pipe}, "kind, unary at i1, pipe at i"},
		"the same said repeatedly": {Menu{entry("1", "a/b"), entry("1", "a/b")}, ""},
	} {
		err := tc.m.Check()
		if got := err != nil; got != (tc.want != "") || got && !strings.Contains(strings.ReplaceAll(err.Error(), ": ", ", "), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

func TestAResponderDescribesWhatItsDigestIsOf(t *testing.T) {
	m, err := Fetch(t.Context(), quoting[*durationpb.Duration]("a"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(m, func(e Entry) bool { return e.Name == "market.quote" })
	got, err := Describe(t.Context(), quoting[*durationpb.Duration]("a"), m[i])
	if err != nil {
		t.Fatal(err)
	}
	if want := `answer application/protobuf: #1{1 "seconds" int64, 2 "nanos" int32}`; !strings.Contains(got.Schema, want) {
		t.Errorf("got %q, want %q", got.Schema, want)
	}
	parts := []bus.MenuPart{{Role: "query", ContentType: bus.ContentTypeJSON}, {Role: "answer", ContentType: "application/protobuf", Message: "google.protobuf.Duration"}}
	if !slices.Equal(got.Parts, parts) {
		t.Errorf("got %v, want %v", got.Parts, parts)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(got.Descriptors, &set); err != nil || len(set.File) != 1 {
		t.Errorf("descriptors: %v, %v", set.File, err)
	}
	if _, err := Describe(t.Context(), responder("b"), m[i]); !errors.Is(err, bus.Unserved) {
		t.Errorf("one that does not serve it: %v", err)
	}
}
