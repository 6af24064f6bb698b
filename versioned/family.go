// SPDX-License-Identifier: Apache-2.0

// Package versioned joins the versions of one RPC into a family that is used as
// one definition, in the types of one of them: the model.
//
// One file for each version holds its types, its RPC and its two conversions,
// and serves both sides: the caller converts what an older responder serves, the
// callee serves what an older caller asks for. A family may be part of a family,
// so that each version converts to its neighbour alone.
package versioned

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/durabus/durabus/bus"
)

// A Func is one of the four kinds' Func types.
type Func[F any] interface {
	First(next func(ctx context.Context, after int) (F, int, error)) F
	MapErrors(func(error) error) F
}

// A Family is several versions of one RPC that are called and implemented in
// the types of a model. Its order is the caller's preference. Where it is put
// together wrongly its callers and Serve say so.
type Family[F Func[F]] struct {
	members []bus.Member[F]
	err     error
}

// New joins definitions, the most preferred first: the one that has the
// model's types as it is, the others by [Via]. Families may be among them.
func New[F Func[F]](ds ...bus.Definition[F]) Family[F] {
	var f Family[F]
	for _, d := range ds {
		if d == nil {
			f.fail(bus.Description{}, "a family has a nil definition")
			continue
		}
		if part, ok := d.(interface{ valid() error }); ok && f.err == nil {
			f.err = part.valid()
		}
		for _, m := range d.Members() {
			f.add(m)
		}
	}
	if len(f.members) == 0 {
		f.fail(bus.Description{}, "a family has no versions")
	}
	return f
}

func (f *Family[F]) add(m bus.Member[F]) {
	switch {
	case bus.CheckDescription(m.Description) != nil:
		f.err = bus.CheckDescription(m.Description)
	case len(f.members) > 0 && m.Name != f.Name():
		f.fail(m.Description, fmt.Sprintf("in the family of %s", f.Name()))
	case slices.Contains(f.Versions(), m.Version):
		f.fail(m.Description, "twice in one family")
	}
	f.members = append(f.members, m)
}

// fail keeps the first thing that is wrong.
func (f *Family[F]) fail(d bus.Description, what string) {
	if f.err == nil {
		f.err = &bus.Error{Code: bus.Invalid, RPC: d, Message: what}
	}
}

func (f Family[F]) valid() error { return f.err }

// Members makes a Family a [bus.Definition].
func (f Family[F]) Members() []bus.Member[F] { return slices.Clone(f.members) }

// Name returns the name that the versions share.
func (f Family[F]) Name() string {
	if len(f.members) == 0 {
		return ""
	}
	return f.members[0].Name
}

// Versions returns the versions in order of preference.
func (f Family[F]) Versions() []int {
	vs := make([]int, len(f.members))
	for i, m := range f.members {
		vs[i] = m.Version
	}
	return vs
}

// RPCs returns the descriptions in order of preference.
func (f Family[F]) RPCs() []bus.Description {
	ds := make([]bus.Description, len(f.members))
	for i, m := range f.members {
		ds[i] = m.Description
	}
	return ds
}

// Prefer returns f with versions before all others, for instance to hold back
// a new one. Versions that f does not have are left out.
func (f Family[F]) Prefer(versions ...int) Family[F] {
	rank := func(m bus.Member[F]) int {
		if i := slices.Index(versions, m.Version); i >= 0 {
			return i
		}
		return len(versions)
	}
	f.members = slices.Clone(f.members)
	slices.SortStableFunc(f.members, func(a, b bus.Member[F]) int { return rank(a) - rank(b) })
	return f
}

// Client returns a Func that uses, at each call, the most preferred version that
// is served. A version that turns out not to be served any more is passed over
// for the next.
func (f Family[F]) Client(c bus.Caller) F {
	clients := make([]F, len(f.members))
	for i, m := range f.members {
		if m.Client == nil {
			continue
		}
		if clients[i] = m.Client(c); isNil(clients[i]) {
			f.fail(m.Description, "its conversion returned a nil Func")
		}
	}
	var kind F
	return kind.First(func(ctx context.Context, after int) (F, int, error) {
		i, err := f.pick(ctx, c, after)
		if err != nil {
			var none F
			return none, 0, err
		}
		return clients[i%len(clients)], i, nil
	})
}

// Handlers returns a handler for each version that can be answered in the
// model's types, all of which answer with impl. [bus.IncomingCall] tells impl
// which one was called.
func (f Family[F]) Handlers(impl F) []bus.Handler {
	if f.err != nil {
		return []bus.Handler{{Description: bus.Description{Name: f.Name()}, Err: f.err}}
	}
	var hs []bus.Handler
	for _, m := range f.members {
		if m.Handler != nil {
			hs = append(hs, m.Handler(impl))
		}
	}
	return hs
}

func isNil(f any) bool {
	v := reflect.ValueOf(f)
	return v.Kind() == reflect.Func && v.IsNil()
}
