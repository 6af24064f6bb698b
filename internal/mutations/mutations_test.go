// SPDX-License-Identifier: Apache-2.0

package main

import (
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
	if p.breaks != "it" || p.promise != "I1" || p.seen != seen || len(p.files) != 1 || p.files[0].path != "x.go" {
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
	root := "../.."
	all, err := readPatches(".", "")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(root, t.TempDir(), 0)
	if len(all) < 25 {
		t.Errorf("there are %d", len(all))
	}
	for _, p := range all {
		for _, f := range p.files {
			text, err := os.ReadFile(filepath.Join(root, f.path))
			if err != nil {
				t.Errorf("%s: %v", p.name, err)
				continue
			}
			if _, err := f.apply(string(text)); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
		for _, c := range p.tests {
			folder, err := b.folder(filepath.Join(root, c.pkg))
			if err == nil {
				_, err = folder.unneeded(c.function())
			}
			if err != nil {
				t.Errorf("%s: %s: %v", p.name, c, err)
			}
		}
	}
}

func TestFilesOfTestsThatANamedOneDoesNotNeedAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a_test.go":      "func TestA() { helper(tool{}) }",
		"helper_test.go": "func helper(tool) {}; type tool struct{}",
		"method_test.go": "func (tool) String() string { return deep }",
		"deep_test.go":   "const deep = \"\"",
		"other_test.go":  "func TestOther() { helper(tool{}) }",
		"main_test.go":   "func TestMain() {}",
		"code.go":        "func TestA() {}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package x\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := readTestFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := folder.unneeded("TestA")
	if want := []string{filepath.Join(dir, "other_test.go")}; !slices.Equal(got, want) || err != nil {
		t.Errorf("left out are %v, %v", got, err)
	}
	if got, err := folder.unneeded("TestB"); err == nil {
		t.Errorf("a test that is not there needs all but %v", got)
	}
}

func TestSmallFaultsChangeOneThingEach(t *testing.T) {
	src := []byte("package x\n\nfunc f(a, b int) int {\n\tif a < b && true {\n\t\ta++\n\t}\n\treturn max(a, 2)\n}\n")
	all, err := smallFaults("x.go", src)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range all {
		if text := f.apply(src); text == string(src) || strings.Count(text, "\n") != strings.Count(string(src), "\n") {
			t.Errorf("%s makes %s", f.describe(src), text)
		}
		got = append(got, f.describe(src))
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
