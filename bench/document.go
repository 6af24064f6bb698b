// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The report stands between these lines of a document.
const (
	reportBegins = "<!-- report -->\n"
	reportEnds   = "<!-- /report -->\n"
)

// writeDocument replaces the report in a file, and writes its plots beside it.
func (r *results) writeDocument(name string) error {
	if err := replaceReport(name, ""); err != nil { // before there are plots beside it
		return err
	}
	plots, err := r.plots(filepath.Dir(name))
	if err != nil {
		return err
	}
	return replaceReport(name, r.markdown()+plots)
}

// replaceReport puts another report into a file.
func replaceReport(name, report string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), reportBegins)
	_, after, ends := strings.Cut(rest, reportEnds)
	if !ok || !ends {
		return fmt.Errorf("%s has no place for the report: the lines %q and %q", name, reportBegins, reportEnds)
	}
	return os.WriteFile(name, []byte(before+reportBegins+"\n"+report+"\n"+reportEnds+after), 0o644)
}
