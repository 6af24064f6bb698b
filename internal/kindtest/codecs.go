// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"encoding/json"
	"iter"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

// point is a value that JSON carries, message one that protobuf does.
type point struct {
	X, Y int
	Note string `json:",omitempty"`
}

type message = *wrapperspb.StringValue

func codecs(t *testing.T, dial Dial) {
	t.Run("JSON", func(t *testing.T) {
		carries(t, dial, point{1, 2, "<&>"}, func(a, b point) bool { return a == b })
	})
	t.Run("bytes", func(t *testing.T) {
		carries(t, dial, []byte{0, 255, 10}, func(a, b []byte) bool { return slices.Equal(a, b) })
	})
	t.Run("no bytes", func(t *testing.T) {
		carries(t, dial, nil, func(a, b []byte) bool { return len(b) == 0 })
	})
	t.Run("protobuf", func(t *testing.T) {
		carries(t, dial, wrapperspb.String("ü"), func(a, b message) bool { return a.Value == b.GetValue() })
	})
	t.Run("empty protobuf", func(t *testing.T) {
		carries(t, dial, &wrapperspb.StringValue{}, func(_, b message) bool { return b != nil && b.Value == "" })
	})
	t.Run("keep updates apart", func(t *testing.T) { updatesApart(t, dial) })
	t.Run("JSON on request", func(t *testing.T) { jsonOnRequest(t, dial) })
	t.Run("that do not fit", func(t *testing.T) { unfit(t, dial) })
	t.Run("that cannot encode", func(t *testing.T) { unencodable(t, dial) })
	t.Run("that panic", func(t *testing.T) { panicking(t, dial) })
}

// carries sends v as query, answer, state and update.
func carries[T any](t *testing.T, dial Dial, v T, equal func(a, b T) bool) {
	u := unaryrpc.RPC[T, T]{Name: "laws.carry.unary", Version: 1}
	s := staterpc.RPC[T, T, T]{Name: "laws.carry.state", Version: 1}
	c := dial(t,
		u.Handler(func(_ context.Context, q T) (T, error) { return q, nil }),
		s.Handler(func(_ context.Context, q T) (T, iter.Seq2[T, error], error) { return q, repeat(q, 3), nil }))
	got, err := u.Client(c)(within(t), v)
	if err != nil || !equal(v, got) {
		t.Errorf("answer: got %v, %v; want %v", got, err, v)
	}
	got, updates, err := s.Client(c)(within(t), v)
	if err != nil || !equal(v, got) {
		t.Fatalf("state: got %v, %v; want %v", got, err, v)
	}
	n := 0
	for u, err := range updates {
		if err != nil || !equal(v, u) {
			t.Errorf("update: got %v, %v; want %v", u, err, v)
		}
		n++
	}
	saw(t, "updates", n, 3)
}

// updatesApart has updates whose encodings leave out what is empty, held by the
// reader while it takes the next.
func updatesApart(t *testing.T, dial Dial) {
	type tagged struct {
		Note string            `json:",omitempty"`
		Tags []string          `json:",omitempty"`
		By   map[string]string `json:",omitempty"`
	}
	want := []tagged{
		{"first", []string{"a", "b"}, map[string]string{"a": "b"}},
		{},
		{"third", []string{"c"}, map[string]string{"c": "d"}},
	}
	p := piperpc.RPC[string, tagged]{Name: "laws.apart", Version: 1}
	c := dial(t, p.Handler(func(context.Context, string) (iter.Seq2[tagged, error], error) {
		return func(yield func(tagged, error) bool) {
			_ = yield(want[0], nil) && yield(want[1], nil) && yield(want[2], nil)
		}, nil
	}))
	updates, err := p.Client(c)(within(t), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []tagged
	for u, err := range updates {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func repeat[T any](v T, n int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for range n {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// jsonOnRequest calls as a program without durabus does.
func jsonOnRequest(t *testing.T, dial Dial) {
	u := unaryrpc.RPC[message, message]{Name: "laws.json.unary", Version: 1}
	p := piperpc.RPC[message, []byte]{Name: "laws.json.pipe", Version: 1}
	s := staterpc.RPC[message, message, point]{Name: "laws.json.state", Version: 1}
	c := dial(t,
		u.Handler(func(_ context.Context, q message) (message, error) { return q, nil }),
		p.Handler(func(_ context.Context, q message) (iter.Seq2[[]byte, error], error) {
			return repeat([]byte(q.Value), 2), nil
		}),
		s.Handler(func(_ context.Context, q message) (message, iter.Seq2[point, error], error) {
			return q, repeat(point{X: 1}, 2), nil
		}))
	for _, tc := range []struct {
		d      bus.Description
		first  string
		update string
	}{
		{u.Describe(), `"AAPL"`, ""},
		{p.Describe(), "", `"QUFQTA=="`},
		{s.Describe(), `"AAPL"`, `{"X":1,"Y":0}`},
	} {
		reply, err := c.Call(within(t), bus.Call{Description: tc.d, Query: []byte(`"AAPL"`), ContentType: bus.ContentTypeJSON})
		if err != nil {
			t.Fatal(err)
		}
		if tc.d.Kind != bus.Pipe {
			saw(t, tc.d.String(), compact(t, reply.First), tc.first)
		}
		if !tc.d.Kind.Streams() {
			continue
		}
		n := 0
		for e, err := range reply.Updates {
			if err != nil {
				t.Fatal(err)
			}
			b, err := e.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			saw(t, tc.d.String(), compact(t, b), tc.update)
			n++
		}
		saw(t, "updates", n, 2)
	}
}

// compact is b without the spaces that protobuf's JSON puts in at random.
func compact(t *testing.T, b []byte) string {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%q is not JSON: %v", b, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unfit has two sides that disagree about the types of an RPC.
func unfit(t *testing.T, dial Dial) {
	text := unaryrpc.RPC[string, string]{Name: "laws.unfit", Version: 1}
	number := unaryrpc.RPC[string, int]{Name: "laws.unfit", Version: 1}
	c := dial(t, text.Handler(func(_ context.Context, q string) (string, error) { return q, nil }))
	_, err := unaryrpc.RPC[message, message]{Name: "laws.unfit", Version: 1}.Client(c)(within(t), wrapperspb.String("7"))
	e := failed(t, err, number.Describe(), bus.Undecodable, "application/protobuf")
	saw(t, "a query may have run", e.MayHaveRun, false)
	_, err = unaryrpc.RPC[int, string]{Name: "laws.unfit", Version: 1}.Client(c)(within(t), 7)
	e = failed(t, err, number.Describe(), bus.Undecodable, "query")
	saw(t, "a query may have run", e.MayHaveRun, false)
	_, err = number.Client(c)(within(t), "seven")
	e = failed(t, err, number.Describe(), bus.Undecodable, "answer")
	saw(t, "an answer may have run", e.MayHaveRun, true)

	var released runs
	states := staterpc.RPC[string, string, string]{Name: "laws.unfit", Version: 2}
	c = dial(t, states.Handler(func(ctx context.Context, _ string) (string, iter.Seq2[string, error], error) {
		released.enter(ctx)
		return "state", forever(ctx), nil
	}))
	_, updates, err := staterpc.RPC[string, string, int]{Name: "laws.unfit", Version: 2}.Client(c)(within(t), "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range updates {
		failed(t, err, states.Describe(), bus.Undecodable, "update")
		n++
	}
	saw(t, "errors of a stream that cannot be decoded", n, 1)
	released.over(t)
	_, _, err = staterpc.RPC[string, int, string]{Name: "laws.unfit", Version: 2}.Client(dial(t,
		states.Handler(func(context.Context, string) (string, iter.Seq2[string, error], error) { return "state", nil, nil })))(within(t), "")
	failed(t, err, states.Describe(), bus.Undecodable, "state")
}

// unencodable has values that their codec refuses.
func unencodable(t *testing.T, dial Dial) {
	u := unaryrpc.RPC[any, any]{Name: "laws.unencodable", Version: 1}
	s := staterpc.RPC[bool, any, any]{Name: "laws.unencodable", Version: 2}
	c := dial(t,
		u.Handler(func(context.Context, any) (any, error) { return func() {}, nil }),
		s.Handler(func(_ context.Context, inUpdate bool) (any, iter.Seq2[any, error], error) {
			if inUpdate {
				return nil, repeat(any(func() {}), 1), nil
			}
			return func() {}, nil, nil
		}))
	_, err := u.Client(c)(within(t), func() {})
	failed(t, err, u.Describe(), bus.Invalid, "query")
	_, err = u.Client(c)(within(t), 1)
	failed(t, err, u.Describe(), bus.Failed, "answer")
	_, _, err = s.Client(c)(within(t), false)
	failed(t, err, s.Describe(), bus.Failed, "state")
	_, updates, err := s.Client(c)(within(t), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range updates {
		failed(t, err, s.Describe(), bus.Failed, "update")
	}
}

// A mine is a value whose encoding panics, if it is live.
type mine struct{ Live bool }

func (m mine) MarshalJSON() ([]byte, error) {
	if m.Live {
		panic("at the disco")
	}
	return []byte(`{"Live":false}`), nil
}

// panicking has values whose codec panics at the responder, each of which costs its
// own call or stream.
func panicking(t *testing.T, dial Dial) {
	u := unaryrpc.RPC[bool, mine]{Name: "laws.panicking", Version: 1}
	s := staterpc.RPC[bool, mine, mine]{Name: "laws.panicking", Version: 2}
	p := piperpc.RPC[bool, mine]{Name: "laws.panicking", Version: 3}
	updates := func(live bool) iter.Seq2[mine, error] {
		return func(yield func(mine, error) bool) {
			_ = yield(mine{}, nil) && yield(mine{live}, nil) && yield(mine{}, nil)
		}
	}
	c := dial(t,
		u.Handler(func(_ context.Context, live bool) (mine, error) { return mine{live}, nil }),
		s.Handler(func(_ context.Context, inUpdate bool) (mine, iter.Seq2[mine, error], error) {
			return mine{!inUpdate}, updates(inUpdate), nil
		}),
		p.Handler(func(_ context.Context, live bool) (iter.Seq2[mine, error], error) { return updates(live), nil }).Shared())
	_, err := u.Client(c)(within(t), true)
	failed(t, err, u.Describe(), bus.Panicked, "log")
	_, _, err = s.Client(c)(within(t), false)
	failed(t, err, s.Describe(), bus.Panicked, "log")
	_, us, err := s.Client(c)(within(t), true)
	endsByPanic(t, s.Describe(), us, err)
	us, err = p.Client(c)(within(t), true)
	endsByPanic(t, p.Describe(), us, err)
	if _, err = u.Client(c)(within(t), false); err != nil {
		t.Errorf("behind a panic: %v", err)
	}
}

// endsByPanic wants one update and then the word that the next panicked.
func endsByPanic(t *testing.T, d bus.Description, updates iter.Seq2[mine, error], err error) {
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range updates {
		if n++; n == 1 && err == nil {
			continue
		}
		failed(t, err, d, bus.Panicked, "log")
	}
	saw(t, d.String()+": updates and errors", n, 2)
}
