// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

type mixin = apipb.Mixin

// messages are handlers of RPCs with protobuf messages, some of which refuse JSON
// as a responder of another make may.
func messages() []bus.Handler {
	protobuf := func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, c bus.Call) (bus.Reply, error) {
			if c.ContentType == bus.ContentTypeJSON {
				return bus.Reply{}, fmt.Errorf("no JSON here")
			}
			return next(ctx, c)
		}
	}
	root := unaryrpc.RPC[*mixin, *mixin]{Name: "proto.root", Version: 1}
	named := unaryrpc.RPC[string, *mixin]{Name: "proto.named", Version: 1}
	bytes := unaryrpc.RPC[*mixin, []byte]{Name: "proto.bytes", Version: 1}
	lag := staterpc.RPC[*durationpb.Duration, *mixin, *durationpb.Duration]{Name: "proto.lag", Version: 1}
	return []bus.Handler{
		root.Handler(func(_ context.Context, m *mixin) (*mixin, error) {
			return &mixin{Name: m.GetName(), Root: "/" + m.GetName()}, nil
		}).With(protobuf),
		named.Handler(func(_ context.Context, name string) (*mixin, error) { return &mixin{Name: name}, nil }).With(protobuf),
		bytes.Handler(func(_ context.Context, m *mixin) ([]byte, error) { return []byte(m.GetName()), nil }),
		lag.Handler(func(ctx context.Context, d *durationpb.Duration) (*mixin, iter.Seq2[*durationpb.Duration, error], error) {
			return &mixin{Root: d.AsDuration().String()}, func(yield func(*durationpb.Duration, error) bool) {
				if yield(d, nil) {
					<-ctx.Done()
				}
			}, nil
		}).With(protobuf),
	}
}

func TestAWatchShowsMessages(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	_, closed, err := serve(b.URL(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer closed()
	next := watching(t, "-server", b.URL(), "proto.lag", `"1.5s"`)
	next(`Snapshot +{"root":"1.5s"}$`)
	next(`Update +"1.500s"$`)
}

func TestWhatAResponderDoesNotDescribeIsSpokenOfInJSON(t *testing.T) {
	whole := bus.MenuEntry{Parts: []bus.MenuPart{
		{Role: "query", ContentType: "application/protobuf", Message: "google.protobuf.Mixin"},
		{Role: "error halted"},
	}}
	var err error
	whole.Descriptors, err = unaryrpc.RPC[*mixin, string]{Name: "a.b"}.Schema().Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := languageOf(whole); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(e *bus.MenuEntry){
		"no descriptors":  func(e *bus.MenuEntry) { e.Descriptors = nil },
		"broken ones":     func(e *bus.MenuEntry) { e.Descriptors = e.Descriptors[:9] },
		"another message": func(e *bus.MenuEntry) { e.Parts = []bus.MenuPart{{Role: "query", Message: "a.B"}} },
		"a codec of theirs": func(e *bus.MenuEntry) {
			e.Parts = []bus.MenuPart{{Role: "query", ContentType: "a/b", Message: "google.protobuf.Mixin"}}
		},
	} {
		e := whole
		change(&e)
		if _, err := languageOf(e); err == nil {
			t.Errorf("%s: it is spoken of in protobuf", name)
		}
	}
	l := language{}
	if q, err := l.encode([]byte(`1`)); string(q) != "1" || err != nil || l.contentType() != bus.ContentTypeJSON {
		t.Errorf("got %s, %v", q, err)
	}
}

func TestAMessageThatIsNoneSaysSo(t *testing.T) {
	e := bus.MenuEntry{Parts: []bus.MenuPart{{Role: "answer", ContentType: "application/protobuf", Message: "google.protobuf.Mixin"}}}
	e.Descriptors, _ = unaryrpc.RPC[string, *mixin]{Name: "a.b"}.Schema().Descriptors()
	l, err := languageOf(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.decode("answer", []byte{1}); err == nil || !strings.Contains(err.Error(), "the answer is no google.protobuf.Mixin") {
		t.Errorf("got %v", err)
	}
}
