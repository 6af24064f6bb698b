// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"regexp"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestAnInboxIsRandomBelowTheConnectionsPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"": "_INBOX", "_INBOX.alice": "_INBOX.alice"} {
		c := &NATS{nc: &nats.Conn{Opts: nats.Options{InboxPrefix: prefix}}}
		shape := regexp.MustCompile("^" + regexp.QuoteMeta(want) + `\.[0-9a-f]{32}$`)
		a, b := c.NewInbox(), c.NewInbox()
		if !shape.MatchString(a) || !shape.MatchString(b) || a[:len(want)+9] == b[:len(want)+9] {
			t.Errorf("%q: inboxes %s and %s", prefix, a, b)
		}
	}
}
