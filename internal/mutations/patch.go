// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A patch is one deliberate fault: what it breaks, which tests show it, and the
// change itself.
type patch struct {
	name    string // of the file, without .patch
	breaks  string
	promise string // I1 to I5 of docs/reliability.md, or in words
	tests   []test // each of which fails with the fault
	seen    string // by the simulation
	files   []fileDiff
}

// What a head says of the simulation: that it must notice the fault, or that it may.
// Else it says why it does not.
const (
	sees    = "sees it"
	maySee  = "may see it"
	blindTo = "does not see it: "
)

// A test is one of a package, or one of its subtests.
type test struct {
	pkg  string // as for go test, such as ./bus
	name string
}

func (t test) String() string { return t.pkg + " " + t.name }

// function is the name of the Go function.
func (t test) function() string {
	name, _, _ := strings.Cut(t.name, "/")
	return name
}

// pattern is what -run wants.
func (t test) pattern() string {
	parts := strings.Split(t.name, "/")
	for i, p := range parts {
		parts[i] = "^" + p + "$"
	}
	return strings.Join(parts, "/")
}

type fileDiff struct {
	path  string // from the root of the repository
	hunks []hunk
}

// A hunk has its lines, with the context, before and after. Where it stood when
// it was made does not matter.
type hunk struct{ old, changed []string }

// readPatches returns the patches of a folder whose names contain part.
func readPatches(dir, part string) (all []patch, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		if !strings.Contains(name, part) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p, err := parsePatch(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// parsePatch reads the lines «Key: value» of the head and the unified diff
// behind it.
func parsePatch(name, text string) (patch, error) {
	p := patch{name: name}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for len(lines) > 0 && !strings.HasPrefix(lines[0], "--- ") {
		if err := p.headLine(lines[0]); err != nil {
			return p, err
		}
		lines = lines[1:]
	}
	for len(lines) > 0 {
		var f fileDiff
		var err error
		if f, lines, err = parseFile(lines); err != nil {
			return p, err
		}
		p.files = append(p.files, f)
	}
	switch {
	case p.breaks == "" || p.promise == "" || p.seen != sees && p.seen != maySee && !strings.HasPrefix(p.seen, blindTo):
		return p, errors.New("its head says not what it Breaks, which Promise, and whether the Simulation sees it")
	case len(p.tests) == 0:
		return p, errors.New("its head names no test: Caught by: ./package TestName")
	case len(p.files) == 0:
		return p, errors.New("it changes nothing")
	}
	return p, nil
}

func (p *patch) headLine(line string) error {
	if line == "" {
		return nil
	}
	key, value, _ := strings.Cut(line, ": ")
	switch key {
	case "Breaks":
		p.breaks = value
	case "Promise":
		p.promise = value
	case "Simulation":
		p.seen = value
	case "Caught by":
		pkg, name, ok := strings.Cut(value, " ")
		if !ok || !strings.HasPrefix(pkg, "./") {
			return fmt.Errorf("%q is not «Caught by: ./package TestName»", line)
		}
		p.tests = append(p.tests, test{pkg, name})
	default:
		return fmt.Errorf("%q is neither of its head nor of a diff", line)
	}
	return nil
}

// parseFile reads what is changed in one file, and returns the lines behind it.
func parseFile(lines []string) (f fileDiff, rest []string, err error) {
	from, isFrom := strings.CutPrefix(lines[0], "--- a/")
	if len(lines) < 2 || !isFrom || lines[1] != "+++ b/"+from {
		return f, nil, fmt.Errorf("%q does not begin the diff of one file: --- a/x, +++ b/x", lines[0])
	}
	f.path, rest = from, lines[2:]
	for len(rest) > 0 && strings.HasPrefix(rest[0], "@@ ") {
		var h hunk
		if h, rest, err = parseHunk(rest); err != nil {
			return f, nil, err
		}
		f.hunks = append(f.hunks, h)
	}
	if len(f.hunks) == 0 {
		return f, nil, fmt.Errorf("%s: no hunk", f.path)
	}
	return f, rest, nil
}

func parseHunk(lines []string) (h hunk, rest []string, err error) {
	var at, before, after int
	if _, err := fmt.Sscanf(lines[0], "@@ -%d,%d +%d,%d @@", &at, &before, &at, &after); err != nil {
		return h, nil, fmt.Errorf("%q is not @@ -a,b +c,d @@", lines[0])
	}
	rest = lines[1:]
	for len(rest) > 0 && (len(h.old) < before || len(h.changed) < after) {
		kind, line := byte(' '), rest[0]
		if line != "" { // else an empty line of context whose blank was cut
			kind, line = line[0], line[1:]
		}
		switch kind {
		case ' ':
			h.old, h.changed = append(h.old, line), append(h.changed, line)
		case '-':
			h.old = append(h.old, line)
		case '+':
			h.changed = append(h.changed, line)
		default:
			return h, nil, fmt.Errorf("%q is no line of a hunk", rest[0])
		}
		rest = rest[1:]
	}
	if len(h.old) != before || len(h.changed) != after {
		return h, nil, fmt.Errorf("the hunk at line %d has other numbers of lines than it says", at)
	}
	return h, rest, nil
}

// apply returns text with the hunks applied. The lines of each must be in it at
// exactly one place, behind those of the one before.
func (f fileDiff) apply(text string) (string, error) {
	lines := strings.Split(text, "\n")
	from := 0
	for i, h := range f.hunks {
		at, found := 0, 0
		for n := from; n+len(h.old) <= len(lines); n++ {
			if slices.Equal(lines[n:n+len(h.old)], h.old) {
				at, found = n, found+1
			}
		}
		if found != 1 {
			return "", fmt.Errorf("it does not apply any more: the lines of hunk %d are in %s %d times, not once", i+1, f.path, found)
		}
		lines = slices.Concat(lines[:at], h.changed, lines[at+len(h.old):])
		from = at + len(h.changed)
	}
	return strings.Join(lines, "\n"), nil
}
