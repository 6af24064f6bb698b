// SPDX-License-Identifier: Apache-2.0

package micro_test

import (
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/micro"
)

// The table is written with strings, as package bus imports this one; here it is
// held against the codes themselves.
func TestEveryCodeHasItsNumber(t *testing.T) {
	for code, want := range map[bus.Code]string{
		bus.NoResponder:   "404",
		bus.Unserved:      "404",
		bus.Unauthorized:  "401",
		bus.Denied:        "403",
		bus.Busy:          "429",
		bus.Draining:      "503",
		bus.TooLarge:      "413",
		bus.Invalid:       "400",
		bus.Disconnected:  "503",
		bus.NoAnswer:      "504",
		bus.Gone:          "503",
		bus.Expired:       "408",
		bus.Canceled:      "499",
		bus.Lost:          "500",
		bus.Stalled:       "408",
		bus.Undecodable:   "400",
		bus.Inconvertible: "500",
		bus.Failed:        "500",
		bus.Panicked:      "500",
		bus.Application:   "422",
		"of a newer bus":  "500",
	} {
		if got := micro.HTTPLike(string(code)); got != want {
			t.Errorf("%s: %s, want %s", string(code), got, want)
		}
	}
}

func TestBusyAndApplicationErrorsAreKnownByTheirCodes(t *testing.T) {
	var c micro.Counters
	c.Verdict(string(bus.Busy), "", 0)
	c.Verdict(string(bus.Application), "", 0)
	if got := c.Data(); got.Busy != 1 || got.ApplicationErrors != 1 {
		t.Errorf("%+v", got)
	}
}
