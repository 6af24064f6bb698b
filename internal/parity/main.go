// SPDX-License-Identifier: Apache-2.0

// Parity checks docs/parity.md against a run of the tests:
//
//	go test -json ./... | go run ./internal/parity
//
// It prints what go test would. It fails if a test failed, if a row refers to a
// test that did not pass in this run, if a feature is missing, or if the counts
// in the document are not those of the run; with -w it writes these.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	doc := flag.String("doc", "docs/parity.md", "the document")
	write := flag.Bool("w", false, "write the counts of this run into the document")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *doc, *write); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

func run(tests io.Reader, out io.Writer, path string, write bool) error {
	passed, err := readTests(tests, out)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := parseDocument(string(text))
	wrong := d.check(passed)
	current := withCounts(text, d.counts(passed))
	switch {
	case bytes.Equal(text, current):
	case write:
		if err := os.WriteFile(path, current, 0o644); err != nil {
			return err
		}
	default:
		wrong = append(wrong, "the counts are not those of this run: go test -json ./... | go run ./internal/parity -w")
	}
	for _, w := range wrong {
		fmt.Fprintf(out, "%s: %s\n", path, w)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s is not current", path)
	}
	fmt.Fprint(out, d.counts(passed))
	return nil
}
