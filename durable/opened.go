// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"iter"

	"github.com/durabus/durabus/bus"
)

// An opened stream is open until its owner leaves it.
type opened[S, U any] struct {
	state   S
	updates iter.Seq2[U, error]
	info    bus.Info
	cancel  context.CancelFunc
}

func (o *opened[S, U]) leave() {
	if o != nil {
		o.cancel()
	}
}

// enter opens a stream once the process has not too many openings under way.
// The caller owns it.
func (f open[S, U]) enter(ctx context.Context) (*opened[S, U], error) {
	admitted, ok := openings.enter(ctx)
	if !ok {
		return nil, context.Cause(ctx)
	}
	defer admitted()
	o := &opened[S, U]{}
	ctx, o.cancel = context.WithCancel(ctx)
	kept := false
	defer func() {
		if !kept { // refused, or f panicked
			o.cancel()
		}
	}()
	var err error
	o.state, o.updates, err = f(bus.WithInfo(ctx, &o.info))
	kept = err == nil
	return o, err
}
