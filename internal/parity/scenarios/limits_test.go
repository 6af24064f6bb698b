// SPDX-License-Identifier: Apache-2.0

package scenarios_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A broker has one limit for all, and values are sent in pieces of it.
func TestLimitsOfABroker(t *testing.T) {
	url := broker.Run(t, broker.Options{Config: "max_payload: 8000"}).URL()
	c := serving(t, url, bus.Service{Name: "s"}, number.Handler(echo),
		text.Handler(func(_ context.Context, s string) (string, error) {
			if s == "fail" {
				return "", errors.New(strings.Repeat("no ", 10_000))
			}
			return s, nil
		}),
		texted.Handler(func(_ context.Context, s string) (iter.Seq2[string, error], error) {
			return of("first", s, "last"), nil
		}),
		huge.Handler(func(context.Context, int) ([]byte, error) { return make([]byte, bus.MaxValue+1), nil }))
	for _, s := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"S014 an answer that is too large is refused with both numbers, and a text that is too long is cut", func(t *testing.T) {
			_, err := huge.Client(c)(within(t), 0)
			failed(t, err, bus.TooLarge, tooLarge, limit)
			_, err = text.Client(c)(within(t), "fail")
			failed(t, err, bus.Failed, "no no no")
			if n := len(err.Error()); n >= 8000 {
				t.Errorf("a text of %d bytes", n)
			}
		}},
		{"S018 a query of 8019 bytes arrives though a message has 8000 at most", func(t *testing.T) {
			query := strings.Repeat("q", 8019)
			saw(t, "answer", outcome(text.Client(c)(within(t), query)), query)
		}},
		{"S019 an answer of 9811 bytes arrives though a message has 8000 at most", func(t *testing.T) {
			answer := strings.Repeat("a", 9811)
			saw(t, "answer", outcome(text.Client(c)(within(t), answer)), answer)
		}},
		{"S080 an update of 9818 bytes arrives between two others", func(t *testing.T) {
			update := strings.Repeat("u", 9818)
			saw(t, "updates", heard(texted.Client(c)(within(t), update)), "first "+update+" last")
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			s.run(t)
			works(t, c)
		})
	}
}

var (
	texted = piperpc.RPC[string, string]{Name: "s.texted", Version: 1}
	huge   = unaryrpc.RPC[int, []byte]{Name: "s.huge", Version: 1}
)

// A broker may be told to take next to nothing.
func TestATinyBroker(t *testing.T) {
	t.Run("S171 a message limit of 1 refuses each call with that number", func(t *testing.T) {
		url := broker.Run(t, broker.Options{Config: "max_payload: 1"}).URL()
		c := bus.NewClient(connected(t, url), bus.ClientOptions{})
		defer closed(t, c)
		_, err := number.Client(c)(within(t), 1)
		failed(t, err, bus.TooLarge, "1 ")
	})
}
