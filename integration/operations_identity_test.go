// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"testing"

	"github.com/durabus/durabus/bus"
)

func TestAHandlerKnowsWhoCallsFromTheSubjectThatOnlyHeMayPublishTo(t *testing.T) {
	url := operated(t, "identity.conf")
	nc := connect(t, url, unrefused(t, "pricer"))
	instance := map[string]string{}
	for _, who := range []string{"alice", "bob"} {
		srv := servePricing(t, nc, bus.Service{Prefix: "for." + who, Identity: who})
		instance[who] = srv.Instance()
	}
	as := func(who, prefix string) *bus.Client {
		c := bus.NewClient(connect(t, url, user(who, nil)), bus.ClientOptions{Prefix: prefix})
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	for _, who := range []string{"alice", "bob"} {
		own := as(who, "for."+who)
		for _, c := range []bus.Caller{own, own.At(instance[who])} {
			if got, err := quoteRPC.Client(c)(t.Context(), "slow"); got != "for "+who || err != nil {
				t.Errorf("%s calls: %q, %v", who, got, err)
			}
		}
		callsPricing(t, own)
	}
	t.Run("and nobody is another", func(t *testing.T) {
		c := as("bob", "for.alice")
		soon(t, atOnce, func(ctx context.Context) error { _, err := quoteRPC.Client(c)(ctx, ""); return err }, bus.Denied, "for.alice")
		soon(t, atOnce, func(ctx context.Context) error {
			_, err := quoteRPC.Client(c.At(instance["alice"]))(ctx, "")
			return err
		}, bus.Denied, "for.alice")
	})
	t.Run("nor by his own name at another's instance", func(t *testing.T) {
		c := as("bob", "for.bob").At(instance["alice"])
		soon(t, atOnce, func(ctx context.Context) error { _, err := quoteRPC.Client(c)(ctx, ""); return err },
			bus.NoResponder, "not served by this instance")
	})
}
