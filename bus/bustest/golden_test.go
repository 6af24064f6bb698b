// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus/bustest"
	"github.com/durabus/durabus/onewayrpc"
	"github.com/durabus/durabus/unaryrpc"
)

// A recorder is a test that takes note of its failure.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.said = fmt.Sprintf(format, args...) }

var (
	quote = unaryrpc.RPC[string, struct{ Bid float64 }]{Name: "market.quote", Version: 1}
	wider = unaryrpc.RPC[string, struct{ Bid, Ask float64 }]{Name: "market.quote", Version: 1}
	order = onewayrpc.RPC[string]{Name: "market.order", Version: 2}
)

func TestAnEditOfATypeFailsTheGoldenTestAndANewVersionDoesToo(t *testing.T) {
	text := strings.Join(append(bustest.Of(order), bustest.Of(quote)...), "")
	file := filepath.Join(t.TempDir(), "menu.golden")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bustest.Golden(t, file, bustest.Of(quote), bustest.Of(order)) // in any order

	var edited recorder
	bustest.Golden(&edited, file, bustest.Of(wider), bustest.Of(order))
	if !strings.Contains(edited.said, quote.Schema().Digest()) || !strings.Contains(edited.said, wider.Schema().Digest()) {
		t.Errorf("an edited type: %q", edited.said)
	}
	var added recorder
	next := wider
	next.Version = 2
	bustest.Golden(&added, file, bustest.Of(quote), bustest.Of(next), bustest.Of(order))
	if !strings.Contains(added.said, "market.quote.v2") {
		t.Errorf("a version that is not in the file: %q", added.said)
	}
}
