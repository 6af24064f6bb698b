// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// Whoever looks over a shoulder, or reads the log of a job, is not to learn it.
func TestAPasswordIsNeverSaid(t *testing.T) {
	b := broker.Run(t, broker.Options{Users: []broker.User{{Name: "tool", Password: "s3cr3t"}, {Name: "other", Password: "else"}}})
	as := func(user string) string { return strings.Replace(b.URL(), "nats://", "nats://"+user+"@", 1) }
	for _, tt := range []struct {
		what, server, says string
		args               []string
	}{
		{"no broker", "nats://tool:s3cr3t@127.0.0.1:1", "no broker at nats://…@127.0.0.1:1", []string{"menu"}},
		{"none of several", "nats://127.0.0.1:1,tool:s3cr3t@127.0.0.1:2", "no broker at nats://127.0.0.1:1,…@127.0.0.1:2", []string{"menu"}},
		{"a token", "nats://s3cr3t@127.0.0.1:1", "no broker at nats://…@127.0.0.1:1", []string{"menu"}},
		{"no URL", "nats://tool:s3cr3t@127.0.0.1:port", "no broker at nats://…@127.0.0.1:port", []string{"menu"}},
		{"not let in", as("other:s3cr3t"), "does not let us in", []string{"call", "x"}},
		{"nobody serves", as("tool:s3cr3t"), "nobody serves anything at nats://…@", []string{"watch", "x"}},
		{"help", "nats://tool:s3cr3t@127.0.0.1:1", `(default "nats://…@127.0.0.1:1")`, []string{"menu", "-help"}},
	} {
		t.Setenv("NATS_URL", tt.server)
		var said bytes.Buffer
		said.WriteString(fmt.Sprint(dispatch(t.Context(), tt.args, &said, &said)))
		if !strings.Contains(said.String(), tt.says) || strings.Contains(said.String(), "s3cr3t") {
			t.Errorf("%s: %s", tt.what, &said)
		}
	}
}
