// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

func definitions(t *testing.T, dial Dial) {
	t.Run("that are wrong are not sent", func(t *testing.T) { wrongDefinitions(t, dial) })
	t.Run("that nobody serves", func(t *testing.T) { unservedDefinitions(t, dial) })
	t.Run("of another kind", func(t *testing.T) { otherKind(t, dial) })
}

func wrongDefinitions(t *testing.T, dial Dial) {
	sent := 0
	c := bus.Wrap(dial(t, unaryHandler(fails(errOther))), func(next bus.CallFunc) bus.CallFunc {
		return func(ctx context.Context, call bus.Call) (bus.Reply, error) {
			sent++
			return next(ctx, call)
		}
	})
	for _, tc := range []struct {
		name    string
		version int
		says    string
	}{
		{"", 1, "empty"},
		{"two words", 1, "' '"},
		{"laws.*", 1, "'*'"},
		{"laws.>", 1, "'>'"},
		{"laws..unary", 1, "empty token"},
		{".laws", 1, "empty token"},
		{"laws.", 1, "empty token"},
		{strings.Repeat("x", 129), 1, "129"},
		{"laws.ünary", 1, "'ü'"},
		{"laws.unary", 0, "version 0"},
		{"laws.unary", -1, "version -1"},
	} {
		ctx := within(t)
		one := onewayrpc.RPC[string]{Name: tc.name, Version: tc.version}
		failed(t, one.Client(c)(ctx, ""), one.Describe(), bus.Invalid, tc.says)
		un := unaryrpc.RPC[string, string]{Name: tc.name, Version: tc.version}
		_, err := un.Client(c)(ctx, "")
		failed(t, err, un.Describe(), bus.Invalid, tc.says)
		pi := piperpc.RPC[string, string]{Name: tc.name, Version: tc.version}
		_, err = pi.Client(c)(ctx, "")
		failed(t, err, pi.Describe(), bus.Invalid, tc.says)
		st := staterpc.RPC[string, string, string]{Name: tc.name, Version: tc.version}
		_, _, err = st.Client(c)(ctx, "")
		failed(t, err, st.Describe(), bus.Invalid, tc.says)
	}
	saw(t, "calls that were sent", sent, 0)
	_, err := unary().Client(nil)(within(t), "")
	failed(t, err, unary().Describe(), bus.Invalid, "nil Caller")
}

func unservedDefinitions(t *testing.T, dial Dial) {
	eachShape(t, func(t *testing.T, s shape) {
		other := unaryrpc.RPC[string, string]{Name: "laws.other", Version: 1}
		c := dial(t, other.Handler(func(_ context.Context, q string) (string, error) { return q, nil }))
		_, err := s.client(c)(within(t), "")
		e := failed(t, err, s.d, bus.NoResponder)
		saw(t, "may have run", e.MayHaveRun, false)
	})
	two, three := unary(), unary()
	two.Version, three.Version = 2, 3
	echo := func(_ context.Context, q string) (string, error) { return q, nil }
	c := dial(t, three.Handler(echo), two.Handler(echo))
	_, err := unary().Client(c)(within(t), "")
	e := failed(t, err, unary().Describe(), bus.Unserved, "[2 3]")
	saw(t, "may have run", e.MayHaveRun, false)
	served, err := c.Served(within(t), unary().Name)
	if err != nil || !slices.Equal(served, []int{2, 3}) {
		t.Errorf("served: %v, %v", served, err)
	}
	served, err = c.Served(within(t), "laws.nobody")
	if err != nil || len(served) > 0 {
		t.Errorf("served: %v, %v", served, err)
	}
}

// otherKind calls an RPC as what it is not.
func otherKind(t *testing.T, dial Dial) {
	c := dial(t, unaryHandler(fails(errOther)))
	p := piperpc.RPC[string, string]{Name: unary().Name, Version: 1}
	_, err := p.Client(c)(within(t), "")
	failed(t, err, p.Describe(), bus.Invalid, "pipe", "unary")
}
