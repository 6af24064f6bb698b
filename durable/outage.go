// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/durabus/durabus/bus"
)

// maxLogged bounds the different failures that are logged of one outage, and
// logEvery how often outages of one stream are: a responder may end it as often as
// it likes.
const (
	maxLogged = 8
	logEvery  = time.Minute
)

// An outage is what the log was told since a stream last lasted.
type outage struct {
	logged []string
	since  time.Time // when it was told first
	down   bool      // and not up again
}

// over has the next failure told as that of another outage.
func (o *outage) over() {
	if time.Since(o.since) >= logEvery {
		*o = outage{}
	}
}

// failed logs what is new.
func (o *outage) failed(ctx context.Context, end ending) {
	text := end.err.Error()
	if len(o.logged) == maxLogged || slices.Contains(o.logged, text) {
		return
	}
	if o.logged == nil {
		o.since = time.Now()
	}
	o.logged = append(o.logged, text)
	o.down = true
	attrs := []any{"event", end.kind.String(), "error", text}
	if e, ok := errors.AsType[*bus.Error](end.err); ok {
		attrs = append(attrs, "rpc", e.RPC.String(), "peer", e.Instance, "call", e.CallID)
	}
	slog.WarnContext(ctx, "durable: stream down", attrs...)
}

// connected logs the end of what failed has logged.
func (o *outage) connected(ctx context.Context, info *bus.Info) {
	if o.down {
		o.down = false
		slog.InfoContext(ctx, "durable: stream up again", "rpc", info.RPC.String(), "peer", info.Instance, "call", info.CallID)
	}
}
