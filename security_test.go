// SPDX-License-Identifier: Apache-2.0

package durabus_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A named test is a package of the module and a test in it, as in SECURITY.md.
var namedTest = regexp.MustCompile("`([a-z/]+):((?:Test|Fuzz)\\w+)(/[^`]+)?`")

// TestTheTestsThatSECURITYNamesExist keeps its table true. What a subtest is called
// stands in its package as a string, with spaces.
func TestTheTestsThatSECURITYNamesExist(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	named := namedTest.FindAllStringSubmatch(string(text), -1)
	for _, m := range named {
		if sources[m[1]] == "" {
			sources[m[1]] = testsOf(t, m[1])
		}
		if !strings.Contains(sources[m[1]], "\nfunc "+m[2]+"(") {
			t.Errorf("SECURITY.md names %s, which is not in %s", m[2], m[1])
		}
		if sub := strings.ReplaceAll(strings.TrimPrefix(m[3], "/"), "_", " "); !strings.Contains(sources[m[1]], sub) {
			t.Errorf("SECURITY.md names a subtest %q, which is not in %s", sub, m[1])
		}
	}
	for line := range strings.Lines(string(text)) {
		if promise, ok := strings.CutPrefix(line, "| P"); ok && len(namedTest.FindAllString(line, -1)) == 0 {
			t.Errorf("SECURITY.md names no test of | P%s", promise)
		}
	}
	if len(named) < 40 {
		t.Errorf("SECURITY.md names %d tests: is the table gone?", len(named))
	}
}

// testsOf returns the text of a package's tests.
func testsOf(t *testing.T, folder string) (all string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}
