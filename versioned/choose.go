// SPDX-License-Identifier: Apache-2.0

package versioned

import (
	"context"
	"fmt"
	"slices"

	"github.com/durabus/durabus/bus"
)

// Pick returns the version that a call through c would use now.
func (f Family[F]) Pick(ctx context.Context, c bus.Caller) (bus.Description, error) {
	i, err := f.pick(ctx, c, -1)
	if err != nil {
		return bus.Description{}, err
	}
	return f.members[i].Description, nil
}

// pick returns the first member after one that can be called and is served, and
// its place in the list of all members twice: what was passed over may be served
// by now, and its caller comes to an end all the same.
func (f Family[F]) pick(ctx context.Context, c bus.Caller, after int) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	d := bus.Description{Name: f.Name()}
	if c == nil {
		return 0, &bus.Error{Code: bus.Invalid, RPC: d, Message: "nil Caller"}
	}
	served, err := c.Served(ctx, d.Name)
	if err != nil {
		return 0, err
	}
	for i := after + 1; i < 2*len(f.members); i++ {
		if m := &f.members[i%len(f.members)]; m.Client != nil && slices.Contains(served, m.Version) {
			return i, nil
		}
	}
	called := callable(f.members)
	none := &bus.Error{Code: bus.Unserved, RPC: d, Again: bus.Comes(c, d.Name, without(called, served)...)}
	none.Message = fmt.Sprintf("served: %v; called here: %v", served, called)
	if len(served) == 0 {
		none.Code = bus.NoResponder
		none.Message = fmt.Sprintf("nobody serves this name; called here: %v", called)
	}
	return 0, none
}

// without returns the versions that are not among those served: those that were
// tried and refused are not news if they come again.
func without(versions, served []int) []int {
	return slices.DeleteFunc(slices.Clone(versions), func(v int) bool { return slices.Contains(served, v) })
}

// Choose returns the version that callers of caller use with responders of
// callee alone, for the tests of a protocol library. Where the types that the two
// have for it differ on the wire, an error has both digests beside the version:
// whether the difference does harm, such as a new field may not, it cannot tell.
func Choose[F, G any](caller bus.Definition[F], callee bus.Definition[G]) (bus.Description, error) {
	if caller == nil || callee == nil {
		return bus.Description{}, &bus.Error{Code: bus.Invalid, Message: "nil definition"}
	}
	for _, d := range []any{caller, callee} {
		if part, ok := d.(interface{ valid() error }); ok && part.valid() != nil {
			return bus.Description{}, part.valid()
		}
	}
	calls, answers := caller.Members(), callee.Members()
	rpc := bus.Description{}
	for _, m := range calls {
		rpc.Name = m.Name
		for _, o := range answers {
			if m.Client != nil && o.Handler != nil && m.Description == o.Description {
				return agreed(m.Description, m.Schema.Digest(), o.Schema.Digest())
			}
		}
	}
	return bus.Description{}, &bus.Error{
		Code: bus.Unserved, RPC: rpc,
		Message: fmt.Sprintf("served: %v; called: %v", answerable(answers), callable(calls)),
	}
}

// agreed returns d, and an error if its two sides have other types; no digest is
// of no known type.
func agreed(d bus.Description, called, served string) (bus.Description, error) {
	if called == served || called == "" || served == "" {
		return d, nil
	}
	return d, &bus.Error{
		Code: bus.Invalid, RPC: d,
		Message: fmt.Sprintf("the two sides disagree about its schema: called as %s, served as %s", called, served),
	}
}

func callable[F any](members []bus.Member[F]) (vs []int) {
	for _, m := range members {
		if m.Client != nil {
			vs = append(vs, m.Version)
		}
	}
	return vs
}

func answerable[F any](members []bus.Member[F]) (vs []int) {
	for _, m := range members {
		if m.Handler != nil {
			vs = append(vs, m.Version)
		}
	}
	return vs
}
