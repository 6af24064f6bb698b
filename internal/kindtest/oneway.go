// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
)

var note = onewayrpc.RPC[string]{Name: "laws.note", Version: 1}

func oneWay(t *testing.T, dial Dial) {
	t.Run("carries message and metadata", func(t *testing.T) {
		type taken struct{ message, locale string }
		took := make(chan taken, 1)
		c := dial(t, note.Handler(func(ctx context.Context, m string) error {
			took <- taken{m, bus.IncomingCall(ctx).Metadata["locale"]}
			return nil
		}))
		var info bus.Info
		ctx := bus.WithMetadata(bus.WithInfo(within(t), &info), bus.Metadata{"locale": "de"})
		if err := note.Client(c)(ctx, "remember"); err != nil {
			t.Fatal(err)
		}
		saw(t, "message", await(t, took, "the message"), taken{"remember", "de"})
		saw(t, "RPC", info.RPC, note.Describe())
	})
	t.Run("tells nothing of what became of it", func(t *testing.T) {
		took := make(chan string, 3)
		c := dial(t, note.Handler(func(_ context.Context, m string) error {
			took <- m
			if m == "panic" {
				panic("at the disco")
			}
			return errOther
		}))
		for _, m := range []string{"fail", "panic", "fail again"} {
			if err := note.Client(c)(within(t), m); err != nil {
				t.Errorf("%s: %v", m, err)
			}
			saw(t, "message", await(t, took, "the message"), m)
		}
	})
	t.Run("is refused where it cannot be sent", func(t *testing.T) {
		ran := make(chan struct{}, 1)
		c := dial(t, note.Handler(func(context.Context, string) error { ran <- struct{}{}; return nil }))
		md := bus.Metadata{"key": strings.Repeat("x", bus.MaxMetadata)}
		err := note.Client(c)(bus.WithMetadata(within(t), md), "")
		failed(t, err, note.Describe(), bus.TooLarge, "16387", "16384")
		canceled, cancel := context.WithCancel(within(t))
		cancel()
		failed(t, note.Client(c)(canceled, ""), note.Describe(), bus.Canceled)
		saw(t, "runs of the handler", len(ran), 0)
	})
}
