// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
)

func values(t *testing.T, dial Dial) {
	eachShape(t, func(t *testing.T, s shape) {
		c := dial(t, s.handler(func(_ context.Context, q string) (string, error) { return "answer to " + q, nil }))
		got, err := s.client(c)(within(t), "a <query>")
		if err != nil || got != "answer to a <query>" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("one MiB there and back", func(t *testing.T) {
		large := strings.Repeat("0123456789abcdef", 1<<16)
		eachShape(t, func(t *testing.T, s shape) {
			c := dial(t, s.handler(func(_ context.Context, q string) (string, error) { return q, nil }))
			got, err := s.client(c)(within(t), large)
			if err != nil || got != large {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	})
	t.Run("calls within a handler's call", func(t *testing.T) {
		eachShape(t, func(t *testing.T, s shape) {
			inner := s.client(dial(t, s.handler(func(_ context.Context, q string) (string, error) { return q + "!", nil })))
			c := dial(t, s.handler(func(ctx context.Context, q string) (string, error) { return inner(ctx, q+"?") }))
			got, err := s.client(c)(within(t), "so")
			if err != nil || got != "so?!" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	})
}

func metadata(t *testing.T, dial Dial) {
	t.Run("reaches the handler, and the caller", func(t *testing.T) { metadataTravels(t, dial) })
	t.Run("beyond its limit is refused with both numbers", func(t *testing.T) { metadataTooLarge(t, dial) })
}

func metadataTravels(t *testing.T, dial Dial) {
	eachShape(t, func(t *testing.T, s shape) {
		c := dial(t, s.handler(func(ctx context.Context, _ string) (string, error) {
			in := bus.IncomingCall(ctx)
			in.Reply["region"] = "eu"
			return in.Metadata["locale"] + in.Metadata["tenant"], nil
		}))
		var info bus.Info
		ctx := bus.WithInfo(within(t), &info)
		ctx = bus.WithMetadata(ctx, bus.Metadata{"locale": "de", "tenant": "acme"})
		got, err := s.client(c)(bus.WithMetadata(ctx, bus.Metadata{"locale": "fr"}), "")
		if err != nil || got != "fracme" {
			t.Errorf("the handler saw %q, %v", got, err)
		}
		if !s.late {
			saw(t, "metadata from the handler", info.Metadata["region"], "eu")
		}
	})
}

func metadataTooLarge(t *testing.T, dial Dial) {
	md := bus.Metadata{"key": strings.Repeat("x", bus.MaxMetadata)} // 3 bytes too many
	eachShape(t, func(t *testing.T, s shape) {
		ran := make(chan struct{}, 1)
		c := dial(t, s.handler(func(context.Context, string) (string, error) { ran <- struct{}{}; return "", nil }))
		_, err := s.client(c)(bus.WithMetadata(within(t), md), "")
		e := failed(t, err, s.d, bus.TooLarge, "16387", "16384")
		saw(t, "may have run", e.MayHaveRun, false)
		saw(t, "runs of the handler", len(ran), 0)
		if s.late {
			return
		}
		c = dial(t, s.handler(func(ctx context.Context, _ string) (string, error) {
			bus.IncomingCall(ctx).Reply["key"] = md["key"]
			return "", nil
		}))
		_, err = s.client(c)(within(t), "")
		failed(t, err, s.d, bus.TooLarge, "16387", "16384")
	})
}

// infoIsFilled says who answered.
func infoIsFilled(t *testing.T, dial Dial) {
	eachShape(t, func(t *testing.T, s shape) {
		c := dial(t, s.handler(func(ctx context.Context, q string) (string, error) {
			in := bus.IncomingCall(ctx)
			saw(t, "RPC of the incoming call", in.RPC, s.d)
			if q == "fail" {
				return "", bus.Unauthorized
			}
			return in.CallID, nil
		}))
		var info bus.Info
		id, err := s.client(c)(bus.WithInfo(within(t), &info), "")
		if err != nil {
			t.Fatal(err)
		}
		saw(t, "RPC", info.RPC, s.d)
		saw(t, "call id", info.CallID, id)
		if info.Instance == "" || info.CallID == "" {
			t.Errorf("info without instance or call id: %+v", info)
		}
		_, err = s.client(c)(bus.WithInfo(within(t), &info), "fail")
		e := failed(t, err, s.d, bus.Unauthorized, info.Instance)
		saw(t, "RPC of a call that failed", info.RPC, s.d)
		saw(t, "instance that said so", e.Instance, info.Instance)
		if e.CallID == "" || e.CallID == id {
			t.Errorf("call id of the second call: %q, of the first: %q", e.CallID, id)
		}
	})
}
