// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const passing = `{"Action":"output","Package":"github.com/durabus/durabus/bus","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"github.com/durabus/durabus/bus","Test":"TestA"}
{"Action":"pass","Package":"github.com/durabus/durabus/bus","Test":"TestB/NATS/S042_S043_refusals"}
{"Action":"pass","Package":"github.com/durabus/durabus/integration","Test":"TestTheLawsHoldOverNATS/Values"}
{"Action":"output","Package":"github.com/durabus/durabus/bus","Output":"ok  \tbus\n"}
{"Action":"pass","Package":"github.com/durabus/durabus/bus"}
`

// page is a document of all features, of which the first is row.
func page(row string) string {
	var b strings.Builder
	b.WriteString(countsBegin + countsEnd + row + "\n")
	for n := 2; n <= features; n++ {
		fmt.Fprintf(&b, "| F%03d | name | Meaningless: why | |\n", n)
	}
	return b.String()
}

func check(t *testing.T, tests, document string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parity.md")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := run(strings.NewReader(tests), &out, path, true)
	return out.String(), err
}

func TestADocumentIsCurrentOrSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ tests, document, want string }{
		"a test":             {passing, page("| F001 | name | `bus.X` | `bus:TestA` |"), "1 here"},
		"a scenario":         {passing, page("| F001 | name | `bus.X` | `S043` |"), "2 shown by tests of their numbers that passed (S042 S043)"},
		"a law":              {passing, page("| F001 | name | `bus.X` | `Laws/Values` |"), "1 here"},
		"not yet":            {passing, page("| F001 | name | Not yet: why | |"), "1 not yet"},
		"no test":            {passing, page("| F001 | name | `bus.X` | |"), "F001: it is said to be here, but no test"},
		"a test that failed": {passing, page("| F001 | name | `bus.X` | `bus:TestC` |"), "F001: bus:TestC did not pass"},
		"a missing feature":  {passing, page(""), "F001: 0 rows, want 1"},
		"a repeated feature": {passing, page("| F002 | name | Meaningless: why | |"), "F002: 2 rows, want 1"},
		"a malformed row":    {passing, page("| F001 | name | Meaningless: why |"), "F001: 3 cells, want 4"},
		"a needless excuse":  {passing, page("| F001 | name | Not yet: why | |\n| S001 S042 | why | |"), "S042: it is said to have no test"},
	} {
		out, err := check(t, c.tests, c.document)
		if wantError := strings.Contains(c.want, "F00") || strings.Contains(c.want, "said"); (err != nil) != wantError {
			t.Errorf("%s: error %v", name, err)
		}
		if !strings.Contains(out, c.want) {
			t.Errorf("%s: %q does not say %q", name, out, c.want)
		}
	}
}

func TestCountsOfAnotherRunAreNotCurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parity.md")
	if err := os.WriteFile(path, []byte(page("| F001 | name | Not yet: why | |")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		write, current bool
	}{{false, false}, {true, true}, {false, true}} {
		var out strings.Builder
		if err := run(strings.NewReader(passing), &out, path, step.write); (err == nil) != step.current {
			t.Errorf("%+v: %v, %s", step, err, out.String())
		}
	}
}

func TestAFailedTestIsShownAndFails(t *testing.T) {
	failing := strings.ReplaceAll(passing, `"pass","Package":"github.com/durabus/durabus/bus","Test":"TestA"`,
		`"fail","Package":"github.com/durabus/durabus/bus","Test":"TestA"`)
	out, err := check(t, failing, page("| F001 | name | Not yet: why | |"))
	if err == nil || !strings.Contains(out, "quiet") {
		t.Errorf("%v, %q", err, out)
	}
	if out, err := check(t, passing, page("| F001 | name | Not yet: why | |")); err != nil || strings.Contains(out, "quiet") {
		t.Errorf("%v, %q", err, out)
	}
	if _, err := check(t, "not JSON", page("")); err == nil {
		t.Error("what is not JSON was accepted")
	}
}

func TestWhatATestThatHungSaidIsShown(t *testing.T) {
	hung := `{"Action":"output","Package":"github.com/durabus/durabus/bus","Test":"TestHung","Output":"goroutine 7\n"}
{"Action":"fail","Package":"github.com/durabus/durabus/bus"}
`
	out, err := check(t, passing+hung, page("| F001 | name | Meaningless: why | |"))
	if err == nil || !strings.Contains(out, "goroutine 7") {
		t.Errorf("error %v; it prints %q", err, out)
	}
}
