// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
)

// The subject of the name itself lies below it, too.
func TestACallOfTheNameThatAnUnknownIsBelowIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		srv := f.serve(bus.Service{Unknown: bus.Unknown{Under: "name", Call: func(context.Context, bus.Call) (bus.Reply, error) {
			return bus.Reply{First: []byte(`"unknown"`)}, nil
		}}})
		c := f.client(bus.ClientOptions{})
		start := time.Now()
		if _, err := nameRPC.Client(c)(t.Context(), ""); !errors.Is(err, bus.NoResponder) || time.Since(start) > time.Second {
			t.Errorf("%v after %v; want NoResponder within a second", err, time.Since(start))
		}
		r := &raid{t: t, srv: srv, hostile: newHostile(t, f.net, "hostile")}
		o := open(1, 9)
		r.refused(r.instance("name.below.v1"), packet(1, o.Append(nil)), bus.Invalid, "kind")
		if n := len(r.kept()); n != 1 {
			t.Errorf("refused %d times", n)
		}
	})
}
