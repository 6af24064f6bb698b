// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
)

type rawEvent = durable.Event[raw, raw]

func TestAWatchPrintsEachEvent(t *testing.T) {
	gone := &bus.Error{Code: bus.Gone, Instance: "A"}
	denied := &bus.Error{Code: bus.Denied}
	for _, c := range []struct {
		name   string
		events []rawEvent
		lines  []string // behind the time
		ends   error
	}{
		{
			"until it is interrupted",
			[]rawEvent{
				{Kind: durable.Attempting},
				{Kind: durable.Connected, Info: &bus.Info{RPC: bus.Description{Name: "hello.clock", Version: 2}, Instance: "A"}},
				{Kind: durable.Snapshot, State: raw(`{"now":1}`)},
				{Kind: durable.Update, Update: raw(`{"now":2}`)},
				{Kind: durable.Update, Err: denied}, // of one update, which ends nothing
				{Kind: durable.Lost, Err: gone},
			},
			[]string{
				"Attempting", "Connected hello.clock.v2 at A", `Snapshot {"now":1}`, `Update {"now":2}`,
				"Update denied", "Lost gone (said A)",
			},
			nil,
		},
		{
			"in one line, whatever a peer says",
			[]rawEvent{
				{Kind: durable.Connected, Info: &bus.Info{RPC: bus.Description{Name: "a", Version: 1}, Instance: "A\n09:00:00.000 Update 1"}},
				{Kind: durable.Snapshot, State: raw("{\n\t\"now\": \"a  b\"\n}\n")},
				{Kind: durable.Update, Update: raw("7\n09:00:00.000 Lost all")},
				{Kind: durable.Lost, Err: errors.New("one\ntwo\tthree")},
			},
			[]string{
				`Connected a.v1 at A\u000a09:00:00.000 Update 1`, `Snapshot {"now":"a b"}`,
				`Update 7\u000a09:00:00.000 Lost all`, `Lost one\u000atwo\u0009three`,
			},
			nil,
		},
		{
			"until an error that stays",
			[]rawEvent{{Kind: durable.Attempting}, {Kind: durable.FailedToConnect, Err: denied}},
			[]string{"Attempting", "FailedToConnect denied"},
			&failure{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := printEvents(&out, slices.Values(c.events))
			if _, ok := errors.AsType[*failure](err); ok != (c.ends != nil) {
				t.Errorf("ended with %v", err)
			}
			var got []string
			for line := range strings.Lines(out.String()) {
				fields := strings.Fields(line)
				if len(fields[0]) != len("15:04:05.000") {
					t.Errorf("no time in %q", line)
				}
				got = append(got, strings.Join(fields[1:], " "))
			}
			if !slices.Equal(got, c.lines) {
				t.Errorf("got  %q\nwant %q", got, c.lines)
			}
		})
	}
}
