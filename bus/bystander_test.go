// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

var (
	countRPC = piperpc.RPC[int, []byte]{Name: "good.count", Version: 1}
	echoRPC  = unaryrpc.RPC[string, string]{Name: "good.echo", Version: 1}
)

// goodHandlers are those of the bystanders' RPCs. Numbers come in updates of
// 1 KiB, so that few of them fill a window.
func goodHandlers() []bus.Handler {
	return []bus.Handler{
		countRPC.Handler(func(ctx context.Context, from int) (iter.Seq2[[]byte, error], error) {
			return func(yield func([]byte, error) bool) {
				update := make([]byte, 1<<10)
				for n := from; ctx.Err() == nil; n++ {
					binary.BigEndian.PutUint64(update, uint64(n))
					if !yield(bytes.Clone(update), nil) {
						return
					}
				}
			}, nil
		}),
		echoRPC.Handler(func(_ context.Context, s string) (string, error) { return s, nil }),
	}
}

// A bystander is a stream and a unary call between well-behaved peers. What a
// hostile peer does must not be seen in it.
type bystander struct {
	echo func(context.Context, string) (string, error)
	next func() ([]byte, error, bool)
	seen uint64
}

// watch opens the bystander's stream.
func watch(t *testing.T, c *bus.Client) *bystander {
	t.Helper()
	updates, err := countRPC.Client(c)(t.Context(), 1)
	if err != nil {
		t.Fatal("opening the bystander's stream:", err)
	}
	next, stop := iter.Pull2(updates)
	t.Cleanup(stop)
	b := &bystander{echo: echoRPC.Client(c), next: next}
	b.read(t, 100)
	return b
}

// undisturbed reads on, further than was on its way at any time.
func (b *bystander) undisturbed(t *testing.T) {
	t.Helper()
	b.read(t, 1000)
	if s, err := b.echo(t.Context(), "?"); s != "?" || err != nil {
		t.Fatalf("the bystander's call: %q, %v", s, err)
	}
}

func (b *bystander) read(t *testing.T, n int) {
	t.Helper()
	for range n {
		b.seen++
		u, err, ok := b.next()
		if err != nil || !ok {
			t.Fatalf("the bystander's stream: %v, %t; want update %d", err, ok, b.seen)
		}
		if n := binary.BigEndian.Uint64(u); n != b.seen {
			t.Fatalf("the bystander's stream: update %d, want %d", n, b.seen)
		}
	}
}
