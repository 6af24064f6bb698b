// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A bench has all faults in one build of the tests: each function has, before its
// own body, one for each fault that changes it, which runs where the environment
// names that fault. No file of the repository is changed: an overlay of go test has
// these.
type bench struct {
	root    string // of the repository
	temp    string
	faults  []bodies       // numbered from 1
	refused map[int]string // those that do not build, by what the compiler says
	flags   []string       // of go test
}

func newBench(root, temp string) *bench {
	return &bench{root: root, temp: temp, refused: map[int]string{}}
}

const variable = "DURABUS_FAULT" // in the environment: which fault runs

// chooser is a file that is added to each package with faults.
const chooser = `package %s

import (
	"os"
	"strconv"
)

var faultNow, _ = strconv.Atoi(os.Getenv("` + variable + `"))
`

// overlay writes the files with all faults but the refused ones, and returns the
// overlay.
func (b *bench) overlay() (string, error) {
	replace := map[string]string{}
	write := func(path, text string) error {
		if replace[path] != "" {
			return nil
		}
		at := filepath.Join(b.temp, fmt.Sprint(len(replace), ".go"))
		replace[path] = at
		return os.WriteFile(at, []byte(text), 0o644)
	}
	for _, f := range b.faults {
		for p := range f {
			s, err := readSource(p.path)
			if err != nil {
				return "", err
			}
			extra := filepath.Join(filepath.Dir(p.path), "fault_now.go")
			if err := errors.Join(write(p.path, b.withFaults(s)), write(extra, fmt.Sprintf(chooser, s.tree.Name.Name))); err != nil {
				return "", err
			}
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.temp, "overlay.json")
	return path, os.WriteFile(path, text, 0o644)
}

// withFaults returns the text of a file with all bodies of its functions.
func (b *bench) withFaults(s source) string {
	var out strings.Builder
	done := 0
	for i, d := range s.tree.Decls {
		begin, _, ok := s.body(d)
		if !ok {
			continue
		}
		var cases strings.Builder
		for n, f := range b.faults {
			body, changed := f[place{s.path, i}]
			if _, refused := b.refused[n+1]; !changed || refused {
				continue
			}
			// The compiler names the fault where it says what is wrong.
			fmt.Fprintf(&cases, "case %d:\n//line fault%d.go:1\n%s\n", n+1, n+1, body)
			if d.(*ast.FuncDecl).Type.Results == nil {
				cases.WriteString("return\n")
			}
		}
		if cases.Len() == 0 {
			continue
		}
		out.WriteString(s.text[done:begin])
		fmt.Fprintf(&out, "\nswitch faultNow {\n%s}\n//line %s:%d\n", cases.String(), s.path, s.fset.Position(d.(*ast.FuncDecl).Body.Lbrace).Line)
		done = begin
	}
	return out.String() + s.text[done:]
}

var refusal = regexp.MustCompile(`fault(\d+)\.go:\d+(?::\d+)?: (.*)`)

// build returns the binaries of the tests of packages. Faults that the compiler
// refuses are left out.
func (b *bench) build(ctx context.Context, pkgs []string) (binaries map[string]string, err error) {
	for {
		overlay, err := b.overlay()
		if err != nil {
			return nil, err
		}
		binaries = map[string]string{}
		var refused [][]string
		for i, pkg := range pkgs {
			binaries[pkg] = filepath.Join(b.temp, fmt.Sprint(i, ".test"))
			args := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binaries[pkg]}, b.flags...)
			c := exec.CommandContext(ctx, "go", append(args, pkg)...)
			c.Dir = b.root
			out, err := c.CombinedOutput()
			if err == nil {
				continue
			}
			if refused = refusal.FindAllStringSubmatch(string(out), -1); len(refused) == 0 {
				return nil, fmt.Errorf("%s does not build: %w\n%s", pkg, err, out)
			}
			break
		}
		if len(refused) == 0 {
			return binaries, nil
		}
		for _, r := range refused {
			n, _ := strconv.Atoi(r[1])
			b.refused[n] = r[2]
		}
	}
}

// run runs a binary with one of the faults, or with none if n is 0, and more of an
// environment.
func (b *bench) run(ctx context.Context, n int, pkg, binary string, limit time.Duration, env []string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, binary, append(args, "-test.timeout", limit.String())...)
	c.Dir = filepath.Join(b.root, pkg)
	c.Env = append(append(os.Environ(), env...), fmt.Sprintf("%s=%d", variable, n))
	out, err := c.CombinedOutput()
	return string(out), err
}
