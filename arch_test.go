// SPDX-License-Identifier: Apache-2.0

// Package durabus_test holds the rules of the repository as tests: which package
// may import which (this file) and what every file looks like (house_test.go).
package durabus_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	module     = "github.com/durabus/durabus"
	natsServer = "github.com/nats-io/nats-server"
)

// mayImport has, for every library package, the packages of the module that it
// may import outside its tests. Arrows point down only: who adds one here
// changes the architecture, and says why in docs/adr.
var mayImport = map[string][]string{
	"internal/flow":        nil,
	"internal/wire":        nil,
	"internal/wire/wirepb": nil, // generated; only tests of internal/wire import it
	"internal/micro":       nil,
	"internal/schema":      nil,
	"internal/transport":   {"internal/flow", "internal/wire"},
	"bus":                  {"internal/flow", "internal/wire", "internal/transport", "internal/micro", "internal/schema"},
	"bus/busdebug":         {"bus"},
	"bus/bustest":          {"bus"},
	"bus/bustest/broker":   nil,
	"internal/streamrpc":   {"bus"},
	"unaryrpc":             {"bus"},
	"onewayrpc":            {"bus"},
	"piperpc":              {"bus", "internal/streamrpc"},
	"staterpc":             {"bus", "internal/streamrpc"},
	"menu":                 {"bus"},
	"versioned":            {"bus"},
	"durable":              {"bus", "piperpc", "staterpc"},

	// The laws of all kinds, for tests alone: nobody's imports may have it.
	"internal/kindtest": {"bus", "unaryrpc", "onewayrpc", "piperpc", "staterpc", "versioned"},

	// The simulation, for its own tests alone.
	"internal/sim": {
		"bus", "durable", "internal/flow", "internal/transport", "internal/wire",
		"unaryrpc", "onewayrpc", "piperpc", "staterpc", "versioned",
	},
}

// mayUseServer are the only places whose code may contain nats-server.
var mayUseServer = []string{"bus/bustest/broker", "cmd", "examples", "integration"}

// programs are the folders that hold no library.
var programs = []string{"bench", "cmd", "examples", "integration", "internal/mutations", "internal/parity", "internal/sim/replay", "internal/tools"}

// within reports whether the package or file at rel lies in one of dirs.
func within(rel string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return rel == d || strings.HasPrefix(rel, d+"/") })
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath   string
	Name         string
	Doc          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

func (p goPackage) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// packages lists the module's packages, those that do not compile too.
func packages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Doc,GoFiles,Imports,TestImports,XTestImports,Deps", "./...")
	out, err := list.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// upward returns the imports of the package at rel that mayImport does not have.
func upward(rel string, imports []string) []string {
	var wrong []string
	for _, imported := range imports {
		of, ours := strings.CutPrefix(imported, module+"/")
		if ours && !slices.Contains(mayImport[rel], of) {
			wrong = append(wrong, of)
		}
	}
	return wrong
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		rel := p.rel()
		if rel == "" || within(rel, programs) {
			continue
		}
		if _, known := mayImport[rel]; !known {
			t.Errorf("package %s is new: say in mayImport (arch_test.go) what it may import", rel)
			continue
		}
		for _, of := range upward(rel, p.Imports) {
			t.Errorf("%s imports %s; it may import only %q: move what it needs into one of these, "+
				"or change mayImport (arch_test.go) and say why in docs/adr", rel, of, mayImport[rel])
		}
	}
}

func TestAnImportThatPointsUpIsFound(t *testing.T) {
	imports := []string{"context", module + "/bus", module + "/internal/flow", module + "/bus/bustest"}
	if got := upward("versioned", imports); !slices.Equal(got, []string{"internal/flow", "bus/bustest"}) {
		t.Errorf("found %q", got)
	}
	if got := upward("internal/wire", imports); len(got) != 3 {
		t.Errorf("found %q", got)
	}
}

func TestProgramsUseThePublicAPI(t *testing.T) {
	for _, p := range packages(t) {
		if !within(p.rel(), []string{"cmd", "examples"}) {
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module+"/internal/") {
				t.Errorf("%s imports %s: show what a user of the module can do; use its public packages", p.rel(), imported)
			}
		}
	}
}

func TestNoLibraryPackageContainsNATSServer(t *testing.T) {
	fromServer := func(imported string) bool { return strings.HasPrefix(imported, natsServer) }
	for _, p := range packages(t) {
		if within(p.rel(), mayUseServer) {
			continue
		}
		if slices.ContainsFunc(p.Deps, fromServer) {
			t.Errorf("%s would make every user link nats-server: only %q may import it, directly or not", p.rel(), mayUseServer)
		}
		if slices.ContainsFunc(slices.Concat(p.TestImports, p.XTestImports), fromServer) {
			t.Errorf("the tests of %s import nats-server: start one with bus/bustest/broker", p.rel())
		}
	}
}

func TestPackagesAreNamedForWhatTheyDo(t *testing.T) {
	for _, p := range packages(t) {
		switch path.Base(p.ImportPath) {
		case "util", "utils", "common", "types", "pkg", "helpers", "misc":
			t.Errorf("package %s: name it after the one thing that it does, or move its parts to where they are used", p.rel())
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 && path.Base(p.ImportPath) != "wirepb" {
			t.Errorf("package %s has no doc comment: begin one of its files with «// Package %s …», saying what it is and what it promises", p.rel(), p.Name)
		}
	}
}
