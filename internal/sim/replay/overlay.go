// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// edited returns the files of the toolchain that the edits are for, with them.
func edited(edits []edit, goroot, version string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		if texts[e.file] == "" {
			b, err := os.ReadFile(filepath.Join(goroot, "src", e.file))
			if err != nil {
				return nil, fmt.Errorf("%w: %s has no such file; the edits were made for %s", err, version, madeFor)
			}
			texts[e.file] = string(b)
		}
		if n := strings.Count(texts[e.file], e.old); n != e.times {
			return nil, fmt.Errorf("%s of %s has the text %q %d times, not %d: the edits in internal/sim/replay/edits.go were made for %s; "+
				"see what has changed there and make them anew, or use that release (GOTOOLCHAIN)", e.file, version, e.old, n, e.times, madeFor)
		}
		texts[e.file] = strings.ReplaceAll(texts[e.file], e.old, e.new)
	}
	return texts, nil
}

// overlay writes the toolchain's files as they are to be into a folder, and the
// list for go build's -overlay, whose name it returns.
func overlay(folder, goroot, version string) (string, error) {
	texts, err := edited(edits, goroot, version)
	if err != nil {
		return "", err
	}
	for file, text := range added {
		texts[file] = text
	}
	list := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		to := filepath.Join(folder, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		list.Replace[filepath.Join(goroot, "src", file)] = to
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	name := filepath.Join(folder, "overlay.json")
	return name, os.WriteFile(name, b, 0o600)
}
