// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A plain writer keeps what a peer chose, such as its id, the text of its errors or
// an answer, from steering a terminal: control characters but tab and line feed are
// written as JSON has them within strings, which changes no answer in JSON.
type plain struct{ io.Writer }

// Write implements io.Writer. A character must not be in two parts.
func (p plain) Write(b []byte) (int, error) {
	clean := make([]byte, 0, len(b))
	for rest := b; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if steers(r) {
			clean = fmt.Appendf(clean, `\u%04x`, r)
		} else {
			clean = append(clean, rest[:n]...)
		}
		rest = rest[n:]
	}
	if _, err := p.Writer.Write(clean); err != nil {
		return 0, err
	}
	return len(b), nil
}

// inLine keeps what a peer chose from looking like several lines or columns.
var inLine = strings.NewReplacer("\n", `\u000a`, "\t", `\u0009`)

// compact is JSON in one line; what is none stays as it is.
func compact(data []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return string(data)
	}
	return b.String()
}

func steers(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0
}
