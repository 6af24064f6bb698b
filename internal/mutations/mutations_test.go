// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const head = "Breaks: it\nPromise: I1\nCaught by: ./a TestA/some/part\nSimulation: sees it\n\n"

const change = `--- a/x.go
+++ b/x.go
@@ -7,3 +7,3 @@
 one
-two
+TWO
 three
`

func parsed(t *testing.T, text string) patch {
	t.Helper()
	p, err := parsePatch("x", text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPatchSaysWhatItBreaksAndWhatCatchesIt(t *testing.T) {
	p := parsed(t, head+change)
	if p.breaks != "it" || p.promise != "I1" || p.seen != sees || len(p.files) != 1 || p.files[0].path != "x.go" {
		t.Errorf("got %+v", p)
	}
	want := test{"./a", "TestA/some/part"}
	if !slices.Equal(p.tests, []test{want}) || want.function() != "TestA" || want.pattern() != "^TestA$/^some$/^part$" {
		t.Errorf("tests are %v", p.tests)
	}
}

func TestWhatIsNoPatchIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no head":               change,
		"no test":               strings.Replace(head, "Caught by: ./a TestA/some/part\n", "", 1) + change,
		"a test without a name": strings.Replace(head, " TestA/some/part", "", 1) + change,
		"no change":             head,
		"a doubtful simulation": strings.Replace(head, "sees it", "sees", 1) + change,
		"text between":          head + "or else\n" + change,
		"two names":             head + strings.Replace(change, "b/x", "b/y", 1),
		"no hunk":               head + "--- a/x.go\n+++ b/x.go\n",
		"too few lines":         head + strings.Replace(change, " three\n", "", 1),
		"too many lines":        head + strings.Replace(change, "-7,3 +7,3", "-7,1 +7,2", 1),
		"no line of a hunk":     head + strings.Replace(change, "+TWO", "TWO", 1),
	} {
		if p, err := parsePatch("x", text); err == nil {
			t.Errorf("%s: it is read as %+v", name, p)
		}
	}
}

func TestAHunkAppliesWhereItsLinesAreOnce(t *testing.T) {
	f := parsed(t, head+change).files[0]
	if got, err := f.apply("zero\none\ntwo\nthree\n"); got != "zero\none\nTWO\nthree\n" || err != nil {
		t.Errorf("made %q, %v", got, err)
	}
	for name, text := range map[string]string{
		"nowhere":         "one\ntwo\n",
		"other context":   "one\ntwo\nfour\n",
		"at two places":   "one\ntwo\nthree\none\ntwo\nthree\n",
		"applied already": "one\nTWO\nthree\n",
	} {
		if got, err := f.apply(text); err == nil {
			t.Errorf("%s: made %q", name, got)
		}
	}
}

func TestALaterHunkAppliesBehindTheOneBefore(t *testing.T) {
	f := parsed(t, head+change+"@@ -20,1 +20,2 @@\n same\n+more\n").files[0]
	got, err := f.apply("same\none\ntwo\nthree\nsame\n")
	if want := "same\none\nTWO\nthree\nsame\nmore\n"; got != want || err != nil {
		t.Errorf("made %q, %v", got, err)
	}
	if got, err := f.apply("same\none\ntwo\nthree\n"); err == nil {
		t.Errorf("made %q", got)
	}
}

// Every patch of the repository applies, and names tests that are there: that
// much is checked with each change, long before they are run.
func TestEveryFaultAppliesAndItsTestsExist(t *testing.T) {
	const root = "../.."
	all, err := readPatches(".", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 25 {
		t.Errorf("there are %d", len(all))
	}
	for _, p := range all {
		if changed, err := p.bodies(root); err != nil || len(changed) == 0 {
			t.Errorf("%s: %d functions, %v", p.name, len(changed), err)
		}
		for _, c := range p.tests {
			if !declared(t, filepath.Join(root, c.pkg), c.function()) {
				t.Errorf("%s: there is no %s", p.name, c)
			}
		}
	}
}

func declared(t *testing.T, dir, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(path string) bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "\nfunc "+function+"(")
	})
}

// benchOf returns one of a package of one file.
func benchOf(t *testing.T, text string) (*bench, source) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.go")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := readSource(path)
	if err != nil {
		t.Fatal(err)
	}
	return newBench(dir, t.TempDir()), s
}

func TestAFaultChangesBodiesOfFunctionsAlone(t *testing.T) {
	b, s := benchOf(t, "package x\n\nimport (\n\t\"a\"\n\t\"b\"\n)\n\nvar v = 1\n\nfunc f() { a.A() }\n\nfunc g() int { return 1 }\n")
	for _, tt := range []struct{ what, from, to, want string }{
		{"a statement", "a.A()", "a.B()", " a.B() "},
		{"an import that is not used any more", "\t\"b\"\n", "", ""},
		{"a variable", "v = 1", "v = 2", "x"},
		{"a result", "g() int", "g() uint", "x"},
		{"a function more", "func g", "func h() {}\n\nfunc g", "x"},
	} {
		is := strings.Replace(s.text, tt.from, tt.to, 1)
		p := patch{files: []fileDiff{{path: "x.go", hunks: []hunk{{strings.Split(s.text, "\n"), strings.Split(is, "\n")}}}}}
		switch got, err := p.bodies(b.root); {
		case (err != nil) != (tt.want == "x"):
			t.Errorf("%s: %v", tt.what, err)
		case err == nil && got[place{s.path, 2}] != tt.want:
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}

func TestAPackageRunsAsItIsOrWithOneOfItsFaults(t *testing.T) {
	b, s := benchOf(t, "package x\n\n// f is b.\nfunc f(a, b int) int {\n\treturn b\n}\n\nfunc g() {}\n\nfunc h() {}\n")
	f, g := place{s.path, 0}, place{s.path, 1}
	b.faults = []bodies{{f: "\treturn 1\n"}, {f: "\treturn 2\n"}, {f: "\treturn 3\n", g: " f(3, 3) "}}
	b.refused[2] = "no"
	text := b.withFaults(s)
	if _, err := parseSource("x.go", text); err != nil {
		t.Error(err)
	}
	for part, times := range map[string]int{"case 1:": 1, "case 2:": 0, "case 3:": 2, "return 1": 1, "return 3": 1, "f(3, 3)": 1, "return b": 1, "\nreturn\n": 1, "switch": 2} {
		if n := strings.Count(text, part); n != times {
			t.Errorf("%q is %d times in\n%s", part, n, text)
		}
	}
}

func TestSmallFaultsChangeOneThingEach(t *testing.T) {
	_, x := benchOf(t, "package x\n\nfunc f(a, b int) int {\n\tif a < b && true {\n\t\ta++\n\t}\n\treturn max(a, 2)\n}\n")
	var got []string
	for _, f := range smallFaults(x.fset, x.tree.Decls[0].(*ast.FuncDecl)) {
		text := f.in(x.text, 0, len(x.text))
		if _, err := parseSource("x.go", text); err != nil || text == x.text {
			t.Errorf("%s makes %s", f.describe(x.text), text)
		}
		got = append(got, f.describe(x.text))
	}
	slices.Sort(got)
	want := []string{
		"arithmetic: a++  =>  a--",
		"boundary: if a < b && true {  =>  if a <= b && true {",
		"comparison: if a < b && true {  =>  if a >= b && true {",
		"condition: if a < b && true {  =>  if false {",
		"condition: if a < b && true {  =>  if true {",
		"logic: if a < b && true {  =>  if a < b || true {",
		"name: if a < b && true {  =>  if a < b && false {",
		"name: return max(a, 2)  =>  return min(a, 2)",
		"number: return max(a, 2)  =>  return max(a, 3)",
		"statement left out: a++  =>  ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
