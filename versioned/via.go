// SPDX-License-Identifier: Apache-2.0

package versioned

import (
	"errors"

	"github.com/durabus/durabus/bus"
)

// Via is d converted into the model: up turns its clients into the model's, down
// turns the model's implementation into its own. Leave out up, and only callees
// convert; leave out down, and only callers do.
//
// The errors of a conversion are [bus.Inconvertible], or a [bus.ElementError]
// where they are about one update, and name the version. Those of the caller
// and of the implementation pass it as they are, or as it converts them.
func Via[G Func[G], F Func[F]](d bus.Definition[G], up func(G) F, down func(F) G) bus.Definition[F] {
	if d == nil {
		return nil // New refuses it
	}
	var c converted[F]
	if part, ok := d.(interface{ valid() error }); ok {
		c.err = part.valid()
	}
	for _, g := range d.Members() {
		if up == nil && down == nil && c.err == nil {
			c.err = &bus.Error{Code: bus.Invalid, RPC: g.Description, Message: "in a family without a conversion up or down"}
		}
		m := bus.Member[F]{Description: g.Description, Schema: g.Schema}
		if up != nil && g.Client != nil {
			m.Client = func(c bus.Caller) F { return up(g.Client(c)).MapErrors(conversion(g.Description)) }
		}
		if down != nil && g.Handler != nil {
			m.Handler = func(f F) bus.Handler {
				if isNil(f) {
					return bus.Handler{Description: g.Description} // Serve refuses it
				}
				return g.Handler(down(f.MapErrors(mark)).MapErrors(unmark(g.Description)))
			}
		}
		c.members = append(c.members, m)
	}
	return c
}

type converted[F any] struct {
	members []bus.Member[F]
	err     error
}

func (c converted[F]) Members() []bus.Member[F] { return c.members }
func (c converted[F]) valid() error             { return c.err }

// conversion names the version in errors that came from converting: all that are
// not about d already.
func conversion(d bus.Description) func(error) error {
	return func(err error) error {
		if element, ok := err.(*bus.ElementError); ok && element.RPC == (bus.Description{}) {
			return &bus.ElementError{RPC: d, Err: element.Err}
		}
		e, ok := errors.AsType[*bus.Error](err)
		if !bus.EndsStream(err) || ok && (e.RPC == d || e.RPC == (bus.Description{})) {
			return err
		}
		return &bus.Error{Code: bus.Inconvertible, RPC: d, MayHaveRun: true, Err: err, Message: err.Error()}
	}
}

// implementation marks an error on its way through a conversion, which keeps
// the Error around what it converts.
const implementation bus.Code = "from the implementation"

// mark wraps an error of the implementation, so that unmark can tell it from one
// of the conversion between them.
func mark(err error) error {
	if !bus.EndsStream(err) {
		return err
	}
	return &bus.Error{Code: implementation, Err: err, Message: err.Error()}
}

func unmark(d bus.Description) func(error) error {
	named := conversion(d)
	return func(err error) error {
		if e, ok := errors.AsType[*bus.Error](err); ok && e.Code == implementation {
			return e.Err
		}
		return named(err)
	}
}
