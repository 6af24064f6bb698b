// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
)

func TestAFailureTellsTheNextStep(t *testing.T) {
	rpc := bus.Description{Name: "hello.greet", Version: 2, Kind: bus.Unary}
	for _, c := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{
			"denied, and the broker said what", &bus.Error{Code: bus.Denied, RPC: rpc, Message: `Permissions Violation for Publish to "acme.hello.greet.v2"`},
			exitDenied, `the broker's user needs permission to publish to "acme.hello.greet.v2"`,
		},
		{
			"denied to listen", &bus.Error{Code: bus.Denied, RPC: rpc, Message: `nats: permissions violation: Permissions Violation for Subscription to "_INBOX.x.>"`},
			exitDenied, `permission to subscribe to "_INBOX.x.>"`,
		},
		{"denied, nobody said what", &bus.Error{Code: bus.Denied, RPC: rpc}, exitDenied, `permission to publish to "hello.greet.v2"`},
		{"unauthorized", &bus.Error{Code: bus.Unauthorized, RPC: rpc}, exitDenied, "nats://user:password@host"},
		{"no responder", &bus.Error{Code: bus.NoResponder, RPC: rpc}, exitUnserved, "hello.greet.v2: no responder"},
		{"disconnected", &bus.Error{Code: bus.Disconnected, RPC: rpc}, exitNoBroker, "connection to the broker was lost"},
		{"busy", &bus.Error{Code: bus.Busy, RPC: rpc}, exitFailed, "try again later"},
		{"expired", &bus.Error{Code: bus.Expired, RPC: rpc}, exitFailed, "-timeout"},
		{"undecodable", &bus.Error{Code: bus.Undecodable, RPC: rpc}, exitFailed, "JSON of the type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, ok := errors.AsType[*failure](explain(c.err))
			if !ok || f.code != c.code || !strings.Contains(f.text, c.text) {
				t.Errorf("got %+v", f)
			}
		})
	}
	for _, err := range []error{nil, &bus.Error{Code: bus.Application}, errors.New("other")} {
		if got := explain(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
