// SPDX-License-Identifier: Apache-2.0

package bus

import "github.com/durabus/durabus/internal/transport"

// wasDenied finds the calls that the broker refused to carry.
func (b *mailbox) wasDenied(ev transport.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ev.Subject == b.inbox+".*" {
		b.denied = &Error{Code: Denied, Err: ev.Err, Message: "no permission to subscribe to " + ev.Subject +
			", where answers arrive; grant it, or set a custom inbox prefix on the connection"}
		for _, c := range b.calls {
			c.fail(&Error{Code: Denied, RPC: c.route.desc, Err: ev.Err, MayHaveRun: true, Message: b.denied.Message})
		}
		return
	}
	b.feedDenied(ev)
	for _, p := range b.peers {
		if p.writesTo(ev.Subject) {
			for _, c := range p.all() {
				c.fail(&Error{
					Code: Denied, RPC: c.route.desc, Err: ev.Err, MayHaveRun: true,
					Message: "no permission to publish to " + ev.Subject + ", where the responder is told what the caller has read",
				})
			}
		}
	}
	for _, q := range b.asks {
		if q.subject == ev.Subject {
			q.answer(answer{denied: &Error{Code: Denied, Err: ev.Err, Message: "no permission to publish to " + ev.Subject}})
		}
	}
	for _, c := range b.calls {
		if c.route.subject == ev.Subject { // of which message is not said: those before it may have been taken
			c.refused(&Error{
				Code: Denied, RPC: c.route.desc, Err: ev.Err, MayHaveRun: c.route.taken.Load(),
				Message: "no permission to publish to " + ev.Subject,
			})
		}
	}
}
