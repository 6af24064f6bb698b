// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/durabus/durabus/internal/wire"
)

// The limits that a sender checks before it sends.
const (
	MaxMetadata = 16 << 10 // bytes of metadata, keys and values together
	MaxValue    = 64 << 20 // bytes of one encoded query, answer, state or update
	maxName     = 128      // bytes of an RPC's name
)

// checkDescription refuses names and versions that cannot be subjects.
func checkDescription(d Description) error {
	bad := func(format string, args ...any) error {
		return &Error{Code: Invalid, RPC: d, Message: fmt.Sprintf(format, args...)}
	}
	if err := checkTokens(d.Name); err != "" {
		return bad("name %q: %s", d.Name, err)
	}
	if d.Version < 1 {
		return bad("version %d: versions count from 1", d.Version)
	}
	if d.Kind < OneWay || d.Kind > State {
		return bad("kind %d", d.Kind)
	}
	return nil
}

// checkTokens says what is wrong with a name or prefix, or nothing.
func checkTokens(name string) string {
	if name == "" {
		return "empty"
	}
	if len(name) > maxName {
		return fmt.Sprintf("%d bytes long, at most %d are allowed", len(name), maxName)
	}
	if name == wire.Root || strings.HasPrefix(name, wire.Root+".") {
		return "it begins with " + wire.Root + ", where the library's own subjects are"
	}
	start := true
	for _, r := range name {
		switch {
		case r == '.' && start:
			return "an empty token"
		case r == '.':
			start = true
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			start = false
		default:
			return fmt.Sprintf("%q is not one of letters, digits, '_', '-' and '.'", r)
		}
	}
	if start {
		return "an empty token"
	}
	return ""
}

// checkMetadata checks what is sent with a query or, when the handler has run, with
// an answer.
func checkMetadata(d Description, md Metadata, hasRun bool) error {
	n := 0
	for k, v := range md {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return &Error{Code: Invalid, RPC: d, MayHaveRun: hasRun, Message: fmt.Sprintf("metadata %q is not UTF-8", k)}
		}
		n += len(k) + len(v)
	}
	if n > MaxMetadata {
		return &Error{Code: TooLarge, RPC: d, MayHaveRun: hasRun, Message: fmt.Sprintf("%d bytes of metadata, at most %d are allowed", n, MaxMetadata)}
	}
	return nil
}

// checkSize checks a query or, when the handler has run, what comes back.
func checkSize(d Description, what string, n int, hasRun bool) error {
	if n > MaxValue {
		return &Error{Code: TooLarge, RPC: d, MayHaveRun: hasRun, Message: fmt.Sprintf("%s of %d bytes, at most %d are allowed", what, n, MaxValue)}
	}
	return nil
}

// checkCall is what every caller checks before it sends.
func checkCall(c Call) error {
	if err := checkDescription(c.Description); err != nil {
		return err
	}
	return checkQuery(c)
}

// checkQuery checks what is sent.
func checkQuery(c Call) error {
	if err := checkMetadata(c.Description, c.Metadata, false); err != nil {
		return err
	}
	return checkSize(c.Description, "a query", len(c.Query), false)
}
