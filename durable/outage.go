// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"context"
	"log/slog"
	"slices"

	"github.com/durabus/durabus/bus"
)

// maxLogged bounds the different failures that are logged of one outage.
const maxLogged = 8

// An outage is what the log was told since a stream last lasted.
type outage struct {
	logged []string
	down   bool // and not up again
}

// failed logs what is new.
func (o *outage) failed(ctx context.Context, end ending) {
	text := end.err.Error()
	if len(o.logged) == maxLogged || slices.Contains(o.logged, text) {
		return
	}
	o.logged = append(o.logged, text)
	o.down = true
	slog.WarnContext(ctx, "durable: stream down", "event", end.kind.String(), "error", text)
}

// connected logs the end of what failed has logged.
func (o *outage) connected(ctx context.Context, info *bus.Info) {
	if o.down {
		o.down = false
		slog.InfoContext(ctx, "durable: stream up again", "rpc", info.RPC.String(), "instance", info.Instance)
	}
}
