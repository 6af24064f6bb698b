// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
)

// Its name leaves -update free for the tests of those who use this package.
var update = flag.Bool("bustest.update", false, "write the files of bustest.Golden anew")

// updating reports whether files are written: by our flag, or by an -update of the
// test's own.
func updating() bool {
	own := flag.Lookup("update")
	return *update || own != nil && own.Value.String() == "true"
}

// Lines is what [Golden] writes of a definition: an RPC or a versioned family.
// Make it by [Of].
type Lines []string

// Of returns the lines of one definition: name, version, kind and digest of each
// member, and below it the schema that the digest is of.
func Of[F any](d bus.Definition[F]) Lines {
	var ls Lines
	for _, m := range d.Members() {
		text := fmt.Sprintf("%v %v %s\n", m.Description, m.Kind, m.Schema.Digest())
		for line := range strings.Lines(m.Schema.Text()) {
			text += "\t" + line
		}
		ls = append(ls, text)
	}
	return ls
}

// Golden compares a protocol library's menu, with the digests of its schemas,
// with a file that is kept beside the test, such as testdata/menu.golden. An edit
// of a type that a deployed peer could stumble over fails the test: give it a new
// version instead, or, where none is deployed yet, run the test with
// -bustest.update, or with -update where the test defines that flag, and let the
// change of the file be reviewed.
func Golden(t testing.TB, file string, definitions ...Lines) {
	t.Helper()
	all := slices.Concat(definitions...)
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(a, b) })
	got := []byte(strings.Join(all, ""))
	if updating() {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run the test with -bustest.update to write it", err)
	}
	want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
	if !bytes.Equal(got, want) {
		t.Errorf("the menu is not that of %s: %s\nGive what changed a new version or, if nobody runs the old one, run the test with -bustest.update.",
			file, firstDifference(string(got), string(want)))
	}
}

// firstDifference says how got differs from want.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	rpc := ""
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("at line %d, %s\n  now:  %s\n  file: %s", i+1, cmp.Or(rpc, "at the top"), strings.TrimSpace(a), strings.TrimSpace(b))
		}
		if !strings.HasPrefix(a, "\t") && a != "" {
			rpc = "after " + a
		}
	}
	return "line ends"
}
