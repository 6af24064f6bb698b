// SPDX-License-Identifier: Apache-2.0

package durabus_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxLines keeps a file to one idea.
const maxLines = 450

// A goFile is one parsed Go file of the repository. All rules are for files that
// people write; generated ones are not checked.
type goFile struct {
	path string // from the root, with slashes
	src  []byte
	fset *token.FileSet
	ast  *ast.File
}

func (f goFile) test() bool { return strings.HasSuffix(f.path, "_test.go") }

// library reports whether users of the module compile f.
func (f goFile) library() bool { return !f.test() && !within(f.path, programs) }

// at places a complaint.
func (f goFile) at(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.path, f.fset.Position(n.Pos()).Line) + fmt.Sprintf(format, args...)
}

func parse(path string, src []byte) (goFile, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
	return goFile{path: path, src: src, fset: fset, ast: tree}, err
}

// houseRules return what is wrong with a file and how to mend it.
var houseRules = map[string]func(goFile) []string{
	"licence line":   licenceLine,
	"length":         length,
	"sleep":          sleeps,
	"skip":           skips,
	"doc of exports": undocumented,
}

func licenceLine(f goFile) []string {
	if bytes.HasPrefix(f.src, []byte("// SPDX-License-Identifier: Apache-2.0\n\n")) {
		return nil
	}
	return []string{f.path + ": begin it with the line «// SPDX-License-Identifier: Apache-2.0» and an empty one"}
}

func length(f goFile) []string {
	if n := bytes.Count(f.src, []byte("\n")); n > maxLines {
		return []string{fmt.Sprintf("%s: %d lines, at most %d: give its second idea a file of its own", f.path, n, maxLines)}
	}
	return nil
}

// sleeps allows time.Sleep where time is virtual, as far as the imports tell.
func sleeps(f goFile) (wrong []string) {
	if !f.test() && !f.library() || imports(f, "testing/synctest") {
		return nil
	}
	for call, name := range selected(f) {
		if name == "time.Sleep" {
			wrong = append(wrong, f.at(call, "time.Sleep: wait for the event itself, under a context; tests may use testing/synctest"))
		}
	}
	return wrong
}

func skips(f goFile) (wrong []string) {
	if !f.test() {
		return nil
	}
	for call, name := range selected(f) {
		receiver, method, _ := strings.Cut(name, ".")
		if slices.Contains([]string{"t", "tb", "b", "f"}, receiver) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, method) {
			wrong = append(wrong, f.at(call, "%s: a test that may not run proves nothing; bring what it needs", name))
		}
	}
	return wrong
}

func imports(f goFile, path string) bool {
	return slices.ContainsFunc(f.ast.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == strconv.Quote(path) })
}

// selected yields every name.name in f.
func selected(f goFile) func(yield func(ast.Node, string) bool) {
	return func(yield func(ast.Node, string) bool) {
		for n := range ast.Preorder(f.ast) {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			if x, ok := s.X.(*ast.Ident); ok && !yield(s, x.Name+"."+s.Sel.Name) {
				return
			}
		}
	}
}

// undocumented finds exported names without a comment, outside tests. The
// comment of a group serves all names in it.
func undocumented(f goFile) (wrong []string) {
	if !f.library() {
		return nil
	}
	complain := func(name *ast.Ident) {
		wrong = append(wrong, f.at(name, "%s has no doc comment: say what it is, its units and defaults, and what it costs or forbids", name.Name))
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !wellKnown(d) {
				complain(d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				for _, name := range undocumentedNames(d, s) {
					complain(name)
				}
			}
		}
	}
	return wrong
}

func undocumentedNames(group *ast.GenDecl, s ast.Spec) (names []*ast.Ident) {
	if group.Doc != nil {
		return nil
	}
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Doc == nil {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		if s.Doc == nil && s.Comment == nil {
			names = append(names, s.Names...)
		}
	}
	return slices.DeleteFunc(names, func(n *ast.Ident) bool { return !n.IsExported() })
}

// exportedReceiver reports whether d is a function, or a method of an exported
// type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	for n := range ast.Preorder(d.Recv.List[0].Type) {
		if name, ok := n.(*ast.Ident); ok {
			return name.IsExported()
		}
	}
	return false
}

// wellKnown are the methods whose comment could only repeat their name.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "Unwrap", "String"}, d.Name.Name)
}

func TestFilesFollowTheHouseRules(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := len(path) > 1 && strings.HasPrefix(entry.Name(), ".")
		if entry.IsDir() && (hidden || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || hidden || filepath.Ext(path) != ".go" {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(path), src)
		if err != nil {
			return err
		}
		if ast.IsGenerated(f.ast) {
			return nil
		}
		for _, rule := range houseRules {
			for _, wrong := range rule(f) {
				t.Error(wrong)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestHouseRulesFindWhatTheyForbid(t *testing.T) {
	const licence = "// SPDX-License-Identifier: Apache-2.0\n\n"
	for _, c := range []struct {
		rule, path, src string
		found           int
	}{
		{"licence line", "bus/a.go", "package a\n", 1},
		{"licence line", "bus/a.go", "// SPDX-License-Identifier: Apache-2.0\npackage a\n", 1},
		{"licence line", "bus/a.go", licence + "package a\n", 0},
		{"length", "bus/a.go", "package a\n" + strings.Repeat("\n", maxLines), 1},
		{"length", "bus/a.go", "package a\n" + strings.Repeat("\n", maxLines-1), 0},
		{"sleep", "bus/a_test.go", "package a; import \"time\"; func f() { time.Sleep(1) }", 1},
		{"sleep", "bus/a_test.go", "package a; import (\"time\"; _ \"testing/synctest\"); func f() { time.Sleep(1) }", 0},
		{"sleep", "bus/a.go", "package a; import \"time\"; var sleep = time.Sleep", 1},
		{"sleep", "cmd/durabus/a.go", "package a; import \"time\"; var sleep = time.Sleep", 0},
		{"skip", "bus/a_test.go", "package a; func f(t *testing.T) { t.Skipf(\"\"); func() { t.SkipNow() }() }", 2},
		{"skip", "bus/a_test.go", "package a; func f() { stream.Skip() }", 0},
		{"doc of exports", "bus/a.go", "package a; func F() {}; type T int; var V int; const C = 1", 4},
		{"doc of exports", "bus/a.go", "package a; func (T) M() {}; func (*L[E]) M() {}; func (l) M() {}", 2},
		{"doc of exports", "bus/a.go", "package a; func (T) Error() string; func (T) Unwrap() error; func (T) String() string; func String() string", 1},
		{"doc of exports", "bus/a.go", "package a\n\n// F is.\nfunc F() {}\n\n// All.\nconst (\n\tC = 1\n\tD = 2\n)\n\nvar (\n\tV int // is\n\tW int\n)\n", 1},
		{"doc of exports", "bus/a.go", "package a; func f() {}; type t int; var v int", 0},
		{"doc of exports", "bus/a_test.go", "package a; func F() {}", 0},
		{"doc of exports", "examples/a/a.go", "package a; func F() {}", 0},
	} {
		f, err := parse(c.path, []byte(c.src))
		if err != nil {
			t.Fatalf("%s: %v", c.src, err)
		}
		if wrong := houseRules[c.rule](f); len(wrong) != c.found {
			t.Errorf("%s: found %d violations, want %d, in %s:\n%s\n%s", c.rule, len(wrong), c.found, c.path, c.src, strings.Join(wrong, "\n"))
		}
	}
}
