// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

const module = "github.com/durabus/durabus/"

// A test is a package within the module and the name of a test or subtest.
type test struct{ pkg, name string }

// results are the tests that passed, and the scenarios that their names tell.
type results struct {
	passed    map[test]bool
	scenarios map[string]bool
}

// An event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

// A test that shows scenarios has their numbers first in its own name or in that
// of a subtest: TestS042WhatItSays, or "S042 S043 what it says".
var (
	scenarioNumbers = regexp.MustCompile(`(?:\b|^Test)S\d{3}(?:_S\d{3})*(?:_|[A-Z])`)
	scenarioNumber  = regexp.MustCompile(`S\d{3}`)
)

// readTests reads a run to its end and prints to out the results of packages and
// all that failed tests said. A failure is an error.
func readTests(r io.Reader, out io.Writer) (results, error) {
	all := results{map[test]bool{}, map[string]bool{}}
	said := map[test]string{}
	failures := 0
	for d := json.NewDecoder(r); ; {
		var e event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return all, fmt.Errorf("what is read must be the output of go test -json: %w", err)
		}
		t := test{strings.TrimPrefix(e.Package, module), e.Test}
		switch e.Action {
		case "output", "build-output":
			if e.Test != "" {
				said[t] += e.Output
			} else if e.Output != "PASS\n" {
				fmt.Fprint(out, e.Output)
			}
		case "fail", "build-fail":
			failures++
			fmt.Fprint(out, said[t])
			delete(said, t)
			if e.Test == "" { // what has not ended by now never will: it hung, or the process died
				for other, text := range said {
					if other.pkg == t.pkg {
						fmt.Fprint(out, text)
					}
				}
			}
		case "pass":
			all.add(t)
			delete(said, t)
		}
	}
	if failures > 0 {
		return all, errors.New("tests failed")
	}
	return all, nil
}

func (r results) add(t test) {
	r.passed[t] = true
	for _, numbers := range scenarioNumbers.FindAllString(t.name, -1) {
		for _, number := range scenarioNumber.FindAllString(numbers, -1) {
			r.scenarios[number] = true
		}
	}
}

// show reports whether the test that a row refers to passed: a scenario by its
// number, a law of the kinds over a broker as Laws/…, any other as
// package:Test/subtest.
func (r results) show(ref string) bool {
	if scenario.MatchString(ref) {
		return r.scenarios[ref]
	}
	if law, ok := strings.CutPrefix(ref, "Laws/"); ok {
		return r.passed[test{"integration", "TestTheLawsHoldOverNATS/" + law}]
	}
	pkg, name, _ := strings.Cut(ref, ":")
	return r.passed[test{pkg, name}]
}
