// SPDX-License-Identifier: Apache-2.0

package busdebug_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/busdebug"
)

// A source is a snapshot that is always the same.
type source bus.Snapshot

func (s source) Snapshot() bus.Snapshot { return bus.Snapshot(s) }

func get(t *testing.T, method, target string, sources ...busdebug.Source) (*httptest.ResponseRecorder, busdebug.Page) {
	t.Helper()
	w := httptest.NewRecorder()
	busdebug.Handler(sources...).ServeHTTP(w, httptest.NewRequest(method, target, nil))
	var page busdebug.Page
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
	}
	return w, page
}

func TestAPageShowsTheStreamsInTroubleFirstAndNoMoreThanItsLimit(t *testing.T) {
	s := source{Side: "server", ID: "a", Streams: []bus.StreamInfo{
		{Name: "well", Age: time.Hour},
		{Name: "silent", Heard: 4 * time.Second},
		{Name: "waits", Waits: bus.WaitCredit},
	}}
	var order []string
	_, page := get(t, "GET", "/", s, source{Side: "client", ID: "b"})
	for _, i := range page.Snapshots[0].Streams {
		order = append(order, i.Name)
	}
	if got := strings.Join(order, " "); got != "waits silent well" || len(page.Snapshots) != 2 || page.Snapshots[1].ID != "b" {
		t.Errorf("%s of %+v", got, page)
	}
	_, page = get(t, "GET", "/?limit=1", s)
	if page.Total != 3 || page.Shown != 1 || len(page.Snapshots[0].Streams) != 1 || page.Snapshots[0].Streams[0].Name != "waits" {
		t.Errorf("at most one: %+v", page)
	}
	many := source{Streams: make([]bus.StreamInfo, 5000)}
	if _, page = get(t, "GET", "/", many); page.Total != 5000 || page.Shown != 1000 {
		t.Errorf("without a limit: %d of %d", page.Shown, page.Total)
	}
}

func TestOnlyReadingIsServed(t *testing.T) {
	for _, c := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/", 200},
		{"HEAD", "/", 200},
		{"POST", "/", 405},
		{"GET", "/?limit=many", 400},
		{"GET", "/?limit=-1", 400},
	} {
		w := httptest.NewRecorder()
		busdebug.Handler().ServeHTTP(w, httptest.NewRequest(c.method, c.target, nil))
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, w.Code, c.want)
		}
	}
}

func ExampleHandler() {
	client := bus.NewClient(nil, bus.ClientOptions{}) // or the program's own, and its servers

	mux := http.NewServeMux()
	mux.Handle("/debug/durabus", busdebug.Handler(client))
	// go http.ListenAndServe("127.0.0.1:6060", mux), and then
	// durabus streams http://127.0.0.1:6060/debug/durabus

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/debug/durabus", nil))
	var page busdebug.Page
	fmt.Println(json.Unmarshal(w.Body.Bytes(), &page), page.Snapshots[0].Side, page.Total)
	// Output: <nil> client 0
}
