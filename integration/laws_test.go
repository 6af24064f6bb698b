// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/kindtest"
)

func TestTheLawsHoldOverNATS(t *testing.T) {
	url := runBroker(t, broker.Options{}).URL()
	n := 0
	kindtest.Laws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller {
		n++
		prefix := fmt.Sprint("law", n) // they share a broker, and nothing else
		srv, err := bus.Serve(connect(t, url), bus.Service{Name: "test", Prefix: prefix}, handlers...)
		if err != nil {
			t.Fatal(err)
		}
		c := bus.NewClient(connect(t, url), bus.ClientOptions{Prefix: prefix})
		t.Cleanup(func() {
			if err := errors.Join(c.Close(), srv.Close()); err != nil {
				t.Error(err)
			}
		})
		return c
	})
}

func TestTheLawsHoldForSharedStreamsOverNATS(t *testing.T) {
	kindtest.SharedLaws(t, func(t *testing.T, handlers ...bus.Handler) bus.Caller { return pair(t, handlers...) })
}
