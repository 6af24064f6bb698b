// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
)

var (
	message = onewayrpc.RPC[string]{Name: "s.message", Version: 1}
	bytes   = onewayrpc.RPC[[]byte]{Name: "s.bytes", Version: 1}
)

func TestMessages(t *testing.T) {
	run(t, []scenario{
		{"S052 S054 S058 a panic stops neither the second message nor the connection", panickingMessages},
		{"S057 a refused message comes back in no way", refusedMessage},
		{"S059 a message that does not decode is dropped alone", undecodableMessage},
		{"S060 a message beyond the limit is refused at once", func(t *testing.T, d dial) {
			c := d(t, bytes.Handler(func(context.Context, []byte) error { t.Error("it was handled"); return nil }))
			err := bytes.Client(c)(within(t), make([]byte, bus.MaxValue+1))
			failed(t, err, bus.TooLarge, "67108865", "67108864")
		}},
		{"S061 raw and typed messages are each received once", rawMessages},
		{"S062 a unary RPC sent to as one-way does no harm", func(t *testing.T, d dial) {
			c := d(t, number.Handler(echo))
			if err := (onewayrpc.RPC[int]{Name: number.Name, Version: 1}).Client(c)(within(t), 1); err != nil {
				failed(t, err, bus.Invalid, "one-way", "unary")
			}
			works(t, c)
		}},
	})
}

func panickingMessages(t *testing.T, d dial) {
	handled := make(chan string, 2)
	c := d(t, number.Handler(echo), message.Handler(func(_ context.Context, m string) error {
		handled <- m
		if m == "first" {
			panic(m)
		}
		return nil
	}))
	for _, m := range []string{"first", "second"} {
		if err := message.Client(c)(within(t), m); err != nil {
			t.Error(m, err)
		}
	}
	got := []string{await(t, "a message", handled), await(t, "a message", handled)}
	saw(t, "both", strings.Contains(got[0]+got[1], "first") && strings.Contains(got[0]+got[1], "second"), true)
	works(t, c)
}

func refusedMessage(t *testing.T, d dial) {
	refused := make(chan bool, 1)
	c := d(t, number.Handler(echo), message.Handler(func(context.Context, string) error { t.Error("it was handled"); return nil }).
		With(func(bus.CallFunc) bus.CallFunc {
			return func(context.Context, bus.Call) (bus.Reply, error) {
				refused <- true
				return bus.Reply{}, bus.Unauthorized
			}
		}))
	if err := message.Client(c)(within(t), "m"); err != nil {
		t.Error(err)
	}
	await(t, "the refusal", refused)
	works(t, c)
}

func undecodableMessage(t *testing.T, d dial) {
	handled := make(chan string, 2)
	c := d(t, message.Handler(func(_ context.Context, m string) error { handled <- m; return nil }))
	_, err := bus.Do(within(t), c, bus.Call{Description: message.Describe(), Query: []byte("{"), ContentType: bus.ContentTypeJSON})
	if err != nil {
		t.Error(err)
	}
	if err := message.Client(c)(within(t), "whole"); err != nil {
		t.Error(err)
	}
	saw(t, "handled", await(t, "a message", handled), "whole")
	saw(t, "others", len(handled), 0)
}

func rawMessages(t *testing.T, d dial) {
	raw := onewayrpc.RPC[[]byte]{Name: "s.raw", Version: 1}
	received := make(chan string, 8)
	c := d(t,
		bytes.Handler(func(_ context.Context, m []byte) error { received <- "typed " + string(m); return nil }),
		bus.Handler{Description: raw.Describe(), Call: func(_ context.Context, c bus.Call) (bus.Reply, error) {
			received <- "raw " + string(c.Query)
			return bus.Reply{}, nil
		}})
	for _, rpc := range []onewayrpc.RPC[[]byte]{bytes, raw} {
		if err := rpc.Client(c)(within(t), []byte("from typed")); err != nil {
			t.Error(err)
		}
		if _, err := bus.Do(within(t), c, bus.Call{Description: rpc.Describe(), Query: []byte("from raw")}); err != nil {
			t.Error(err)
		}
	}
	got := map[string]int{}
	for range 4 {
		got[await(t, "a message", received)]++
	}
	saw(t, "received", got, "map[raw from raw:1 raw from typed:1 typed from raw:1 typed from typed:1]")
	saw(t, "more", len(received), 0)
}
