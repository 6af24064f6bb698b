// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/durabus/durabus/bus"
)

// The exit codes; the package comment says what they mean.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitNoBroker
	exitUnserved
	exitDenied
)

// A failure ends the tool with a code. Its text says what happened and what to
// do next; nothing is printed if it is empty.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func failed(code int, format string, args ...any) *failure {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// explain turns the error of a call into a failure that tells the next step.
func explain(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, bus.Denied):
		return failed(exitDenied, "%v; %s", err, missingPermission(err))
	case errors.Is(err, bus.Unauthorized):
		return failed(exitDenied, "%v; the responder decides who may call it: call as somebody else, with user and password in -server nats://user:password@host", err)
	case errors.Is(err, bus.NoResponder), errors.Is(err, bus.Unserved):
		return failed(exitUnserved, "%v", err)
	case errors.Is(err, bus.Disconnected):
		return failed(exitNoBroker, "%v; the connection to the broker was lost: try again", err)
	case errors.Is(err, bus.Busy):
		return failed(exitFailed, "%v; it did not run: try again later", err)
	case errors.Is(err, bus.Expired):
		return failed(exitFailed, "%v; -timeout allows for more", err)
	case errors.Is(err, bus.Undecodable):
		return failed(exitFailed, "%v; the query must be JSON of the type that the RPC takes", err)
	}
	return err
}

// violation is how the NATS server says what is missing.
var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "?([^"\s]+)"?`)

// missingPermission names the permission that a denied call lacks: the one that
// the broker named, else the one that every call needs.
func missingPermission(err error) string {
	if m := violation.FindStringSubmatch(err.Error()); m != nil {
		verb := "publish to"
		if strings.EqualFold(m[1], "subscription") {
			verb = "subscribe to"
		}
		return fmt.Sprintf("the broker's user needs permission to %s %q", verb, m[2])
	}
	subject := "the subject of the RPC"
	if e, ok := errors.AsType[*bus.Error](err); ok && e.RPC.Name != "" {
		subject = fmt.Sprintf("%q", e.RPC.String())
	}
	return fmt.Sprintf("the broker's user needs permission to publish to %s", subject)
}
