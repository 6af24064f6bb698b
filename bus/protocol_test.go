// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/micro"
)

// table returns the first two cells of each row of the first table after a
// heading of a document.
func table(t *testing.T, document, heading string) (rows [][2]string) {
	t.Helper()
	text, err := os.ReadFile("../" + document)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", document, heading)
	}
	_, body, _ := strings.Cut(section, "|---|")
	_, body, _ = strings.Cut(body, "\n")
	for line := range strings.Lines(body) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		rows = append(rows, [2]string{strings.Trim(cells[1], " `"), strings.TrimSpace(cells[2])})
	}
	return rows
}

func compare(t *testing.T, heading string, want [][2]string) {
	t.Helper()
	compareIn(t, "docs/protocol.md", heading, want)
}

func compareIn(t *testing.T, document, heading string, want [][2]string) {
	t.Helper()
	got := table(t, document, heading)
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s, %q lacks %q", document, heading, want[i])
		case i >= len(want):
			t.Errorf("%s, %q has %q, the code does not", document, heading, got[i])
		case got[i] != want[i]:
			t.Errorf("%s, %q has %q, the code %q", document, heading, got[i], want[i])
		}
	}
}

func TestTheDocumentHasTheTimersOfTheCode(t *testing.T) {
	var want [][2]string
	add := func(name string, d time.Duration) { want = append(want, [2]string{name, d.String()}) }
	add("tick", flow.Tick)
	add("beat", flow.BeatEvery)
	add("dead", flow.DeadAfter)
	add("late tick", flow.LateTick)
	add("settle", flow.SettleTime)
	add("accept", acceptAfter)
	add("no answer", giveUp+flow.Tick)
	add("no answer, durable", giveUpSoon+flow.Tick)
	add("ask again", askAgain)
	add("first retry", retryUntaken[0])
	add("second retry", retryUntaken[1])
	add("age", flow.MaxAge)
	add("stall", defaultStall)
	add("forget instance", forgetPeer)
	add("forget client", forgetClient)
	add("menu answer", firstWait)
	add("menu news", newsHold)
	add("menu silence", silence)
	add("menu fresh", menuFresh)
	add("survey", surveyWait)
	add("quiet", quietFor)
	add("quiet limit", quietLimit)
	add("announce again", announceAgain)
	add("announce", announceEvery)
	add("announce, at most", announceMost)
	add("snapshot", snapshotFor)
	add("mark", markSoon)
	add("feed kept", feedKept)
	add("feed idle", feedIdle)
	add("feed join", joinSoon)
	add("feed join, at most", joinAgain)
	add("feed reaches", feedReaches)
	compare(t, "## Timers", want)
}

func TestTheDocumentHasTheLimitsOfTheCode(t *testing.T) {
	var want [][2]string
	add := func(name string, n int) { want = append(want, [2]string{name, fmt.Sprint(n)}) }
	add("message", frameLimit)
	add("envelope", envelope)
	add("chunk", chunkSize)
	add("piece", pieceSize)
	add("batch", batchSize)
	add("text", maxText)
	add("detail", maxDetail)
	add("value", MaxValue)
	add("metadata", MaxMetadata)
	add("name", maxName)
	add("overhead", flow.Overhead)
	add("allow", firstAllow)
	add("stream window", streamWindow)
	add("stream window, largest", maxWindow)
	add("peer window", peerWindow)
	add("peer windows", inboxBudget)
	add("query window", queryWindow)
	add("values", valueBudget)
	add("handlers", defaultLimit)
	add("streams", defaultStreams)
	add("clients", maxSessions)
	add("list", shortList)
	add("full", fullEvery)
	add("requests", maxRequests)
	add("beat calls", beatCalls)
	add("feed ring", feedRing)
	add("feed replay", feedReplay)
	add("feed behind", inFeedBytes)
	add("feed chunks", inFeedChunks)
	add("feed updates", inFeedUpdates)
	add("id", maxID)
	add("versions", maxVersions)
	add("instances", maxInstances)
	add("left", maxLeft)
	compare(t, "## Limits", want)
}

func TestTheDocumentHasTheCodesOfTheCode(t *testing.T) {
	var want [][2]string
	for _, c := range codes {
		want = append(want, [2]string{string(c), micro.HTTPLike(string(c))})
	}
	compare(t, "## Errors", want)
}
