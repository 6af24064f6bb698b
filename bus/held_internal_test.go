// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"testing"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/transport"
)

// What a peer had on its way when it was given up may still come.
func TestAPeerThatIsGoneReservesNothingMore(t *testing.T) {
	b := newMailbox(transport.NewNet(1).Dial())
	p := &peer{box: b, window: flow.NewWindow(peerWindow, inboxBudget, 0), grown: peerWindow}
	b.onWay.take(peerWindow)
	p.took(1000, true)
	if n := b.onWay.taken(); n != 2*peerWindow {
		t.Fatalf("%d bytes are reserved for a peer that waits for credit", n)
	}
	p.release()
	p.took(1000, true)
	if n := b.onWay.taken(); n != 0 {
		t.Errorf("%d bytes are reserved for a peer that is gone", n)
	}
}
