// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/busdebug"
)

// A snapshotter is a snapshot that is always the same.
type snapshotter bus.Snapshot

func (s snapshotter) Snapshot() bus.Snapshot { return bus.Snapshot(s) }

func TestATableSaysWhatIsKnownOfEachStream(t *testing.T) {
	srv := httptest.NewServer(busdebug.Handler(snapshotter{
		Side: "server", ID: "i", Counters: bus.Counters{Lost: 3, Reconnected: 1},
		Streams: []bus.StreamInfo{
			{
				Role: bus.RoleStream, Name: "a", Version: 2, Peer: "c\x1b[2J", CallID: "c-7", Age: 90 * time.Second, Epoch: "e", Position: 12, Frames: 5,
				Credit: bus.Credit{Granted: 100, Used: 99}, Shared: bus.Credit{Granted: 300, Used: 100}, Queued: 40, Waits: bus.WaitCredit, Heard: 250 * time.Millisecond,
			},
			{Role: bus.RoleFeed, Name: "b", Version: 1, Readers: 2, Feed: "t", Position: 9, Age: time.Second},
			{Role: bus.RoleMember, Name: "b", Version: 1, Peer: "d", CallID: "d-1", Feed: "t", Position: 9},
		},
	}))
	defer srv.Close()
	var out strings.Builder
	if err := dispatch(t.Context(), []string{"streams", srv.URL}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"server i lost=3 reconnected=1",
		"ROLE RPC PEER CALL AGE POSITION FRAMES CREDIT SHARED QUEUED HEARD WAITS FOR",
		"stream a.v2 c?[2J c-7 1m30s 12 5 99/100 100/300 40 300ms credit",
		"feed of 2 b.v1 - - 1s 9 0 - - 0 - -",
		"member b.v1 d d-1 - 9 0 - - 0 0s -",
	}
	if all := strings.Join(got[2:], "\n"); all != strings.Join(want, "\n") {
		t.Errorf("got\n%s", all)
	}
}

func TestAWatchPrintsPageAfterPage(t *testing.T) {
	srv := httptest.NewServer(busdebug.Handler(snapshotter{Side: "client", ID: "one"}))
	defer srv.Close()
	next := running(t, "streams", "-watch", srv.URL)
	next(`: 0 streams$`)
	next(`^client one$`)
	next(`: 0 streams$`)
	next(`^client one$`)
}

func TestWhatIsNoDebugEndpointIsSaid(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"another page": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		"other JSON":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }),
		"no such page": http.NotFoundHandler(),
	} {
		srv := httptest.NewServer(h)
		err := dispatch(t.Context(), []string{"streams", srv.URL}, io.Discard, io.Discard)
		if f, ok := err.(*failure); !ok || f.code != exitFailed || !strings.Contains(f.text, "busdebug.Handler") {
			t.Errorf("%s: %v", name, err)
		}
		srv.Close()
	}
}
