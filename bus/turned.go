// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"
	"strings"

	"github.com/durabus/durabus/internal/wire"
)

// turnedAway reports whether the last responder of a version refused the call
// because it leaves. c.mu is held.
func (c *inCall) turnedAway(f *wire.End) bool {
	if f.Error == nil || f.Error.Code != string(NoResponder) || f.Seq != 0 || c.accepted || strings.HasPrefix(c.route.subject, wire.Root+".") {
		return false
	}
	e := fromWire(f.Error, c.route.desc)
	e.Err = errLeft
	c.failLocked(e)
	return true
}

// maxTurned bounds the memory of a client that calls names from elsewhere.
const maxTurned = 1024

// avoid notes that the last responder of a subject is leaving: who goes on to
// send there may meet the moment in which nobody answers and no broker says so.
// Beyond the bound the others are forgotten: who calls there is turned away once
// more, or waits for an answer in vain.
func (b *mailbox) avoid(subject string) {
	b.mu.Lock()
	if len(b.turned) >= maxTurned {
		clear(b.turned)
	}
	b.turned[subject] = true
	b.anyTurned.Store(true)
	b.mu.Unlock()
	b.forget("")
}

// avoids reports whether the last responder of a subject said that it leaves.
func (b *mailbox) avoids(subject string) bool {
	if !b.anyTurned.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turned[subject]
}

// welcome notes that a subject is served again.
func (b *mailbox) welcome(subject string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.turned, subject)
	b.anyTurned.Store(len(b.turned) > 0)
}

// absent returns why a call cannot be sent to a subject: the last responder of
// the version said that it leaves, and the menu does not name another. Where the
// menu cannot be asked the call is sent.
func (cl *Client) absent(ctx context.Context, subject string, d Description) error {
	if !cl.box.avoids(subject) {
		return nil
	}
	name := wire.FullName(cl.prefix, d.Name)
	again := cl.box.awaits(name, d.Version)
	versions, err := cl.box.served(ctx, name, "")
	switch {
	case ctx.Err() != nil:
		return notSent(contextError(ctx, d))
	case err != nil || slices.Contains(versions, d.Version):
		cl.box.welcome(subject)
		return nil
	}
	return unserved(d, name, versions, again)
}
