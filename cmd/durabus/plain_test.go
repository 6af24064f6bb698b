// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/unaryrpc"
)

func TestWhatAPeerSaysDoesNotSteerATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain\tand\nsimple, ä ☂\n":      "plain\tand\nsimple, ä ☂\n",
		"\x1b[2Jgone\a\b\r":              `\u001b[2Jgone\u0007\u0008\u000d`,
		"\u009b2J\x7f":                   `\u009b2J\u007f`,
		"\xff\x80 is no UTF-8 \u2028 is": "\xff\x80 is no UTF-8 \u2028 is",
	} {
		var b bytes.Buffer
		if n, err := fmt.Fprint(plain{&b}, in); n != len(in) || err != nil || b.String() != want {
			t.Errorf("%q was written as %q, %d, %v", in, b.String(), n, err)
		}
	}
}

func TestTheErrorOfAHostileResponderDoesNotSteerATerminal(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	rpc := unaryrpc.RPC[string, string]{Name: "bad", Version: 1}
	nc, err := bus.Connect(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	srv, err := bus.Serve(nc, bus.Service{Name: "bad"}, rpc.Handler(func(context.Context, string) (string, error) {
		return "", errors.New("\x1b]0;owned\a")
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	var out, errs bytes.Buffer
	code := run([]string{"call", "-server", b.URL(), "bad"}, &out, &errs)
	if all := out.String() + errs.String(); code == exitDone || !strings.Contains(all, "owned") || strings.ContainsAny(all, "\x1b\a") {
		t.Errorf("exit code %d: %q", code, all)
	}
}
