// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
)

func TestTheOperatorsExportsCarryEveryKindOfCall(t *testing.T) {
	url := operated(t, "accounts.conf")
	alice := client(t, url, unrefused(t, "alice"))
	came := make(chan bus.Announcement, 16)
	stop, err := alice.Hear("market.price", func(a bus.Announcement) { came <- a })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	nobody := bus.NoResponder
	if strings.HasPrefix(connect(t, url, unrefused(t, "alice")).ConnectedServerVersion(), "2.9.") {
		nobody = bus.NoAnswer // 2.9 does not report across accounts that nobody listens
	}
	if _, err := quoteRPC.Client(alice)(t.Context(), ""); !isCode(err, nobody) {
		t.Errorf("nobody serves: %v", err) // and the announcements are subscribed to
	}
	srv := servePricing(t, connect(t, url, unrefused(t, "pricer")), bus.Service{})
	select {
	case a := <-came:
		if a.Instance != srv.Instance() || len(a.Versions) != 2 {
			t.Errorf("announced: %v", a)
		}
	case <-time.After(patience):
		t.Error("no announcement came")
	}
	callsPricing(t, alice)
	callsPricing(t, alice.At(srv.Instance()))
	if versions, err := alice.Served(t.Context(), "market.price"); len(versions) != 2 || err != nil {
		t.Errorf("versions %v, %v", versions, err)
	}
	bob := client(t, url, unrefused(t, "bob"))
	soon(t, noAnswer, func(ctx context.Context) error { _, err := quoteRPC.Client(bob)(ctx, ""); return err }, bus.NoResponder)
}
