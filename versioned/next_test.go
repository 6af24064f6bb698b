// SPDX-License-Identifier: Apache-2.0

package versioned

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
)

// A refusing caller has all versions on its menu, and answers the newest with an
// error.
type refusing struct {
	err   error
	tried *[]int
}

func (r refusing) Served(context.Context, string) ([]int, error) { return []int{1, 2, 3}, nil }

func (r refusing) Call(_ context.Context, c bus.Call) (bus.Reply, error) {
	*r.tried = append(*r.tried, c.Version)
	if c.Version == 3 {
		return bus.Reply{}, r.err
	}
	return bus.Reply{First: []byte(`"1"`)}, nil
}

// everyKind calls a family of versions 3, 2 and 1 of each kind.
var everyKind = map[string]func(ctx context.Context, c bus.Caller) error{
	"one-way": func(ctx context.Context, c bus.Caller) error {
		rpc := func(v int) onewayrpc.RPC[string] { return onewayrpc.RPC[string]{Name: "a.kind", Version: v} }
		return New(rpc(3), rpc(2), rpc(1)).Client(c)(ctx, "q")
	},
	"unary": func(ctx context.Context, c bus.Caller) error {
		rpc := func(v int) rpc2 { return rpc2{Name: "a.kind", Version: v} }
		_, err := New(rpc(3), rpc(2), rpc(1)).Client(c)(ctx, "q")
		return err
	},
	"pipe": func(ctx context.Context, c bus.Caller) error {
		rpc := func(v int) piperpc.RPC[string, string] {
			return piperpc.RPC[string, string]{Name: "a.kind", Version: v}
		}
		_, err := New(rpc(3), rpc(2), rpc(1)).Client(c)(ctx, "q")
		return err
	},
	"state": func(ctx context.Context, c bus.Caller) error {
		rpc := func(v int) staterpc.RPC[string, string, string] {
			return staterpc.RPC[string, string, string]{Name: "a.kind", Version: v}
		}
		_, _, err := New(rpc(3), rpc(2), rpc(1)).Client(c)(ctx, "q")
		return err
	},
}

func TestOnlyAVersionThatNobodyTakesIsPassedOver(t *testing.T) {
	for _, tc := range []struct {
		err   error
		tried []int
	}{
		{&bus.Error{Code: bus.Unserved}, []int{3, 2}},
		{&bus.Error{Code: bus.Draining}, []int{3, 2}},
		{&bus.Error{Code: bus.Draining, MayHaveRun: true}, []int{3}},
		{&bus.Error{Code: bus.NoResponder}, []int{3}}, // of the name, at any version
		{&bus.Error{Code: bus.Unauthorized}, []int{3}},
		{&bus.Error{Code: bus.Denied}, []int{3}},
		{&bus.Error{Code: bus.Busy}, []int{3}},
		{&bus.Error{Code: bus.TooLarge}, []int{3}},
		{&bus.Error{Code: bus.Invalid}, []int{3}},
		{&bus.Error{Code: bus.Disconnected}, []int{3}},
		{&bus.Error{Code: bus.NoAnswer, MayHaveRun: true}, []int{3}},
		{&bus.Error{Code: bus.Gone, MayHaveRun: true}, []int{3}},
		{&bus.Error{Code: bus.Undecodable}, []int{3}},
		{&bus.Error{Code: bus.Failed, MayHaveRun: true}, []int{3}},
		{&bus.Error{Code: bus.Application, MayHaveRun: true}, []int{3}},
		{&bus.Error{Code: bus.Failed, Err: &bus.Error{Code: bus.Unserved}}, []int{3}}, // of a call that the handler made
	} {
		for kind, call := range everyKind {
			var tried []int
			err := call(t.Context(), refusing{tc.err, &tried})
			if passed := len(tc.tried) > 1; passed != (err == nil) || !passed && !errors.Is(err, tc.err) || !slices.Equal(tried, tc.tried) {
				t.Errorf("%s after %v: tried %v, want %v; %v", kind, tc.err, tried, tc.tried, err)
			}
		}
	}
}
