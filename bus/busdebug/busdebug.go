// SPDX-License-Identifier: Apache-2.0

// Package busdebug serves over HTTP what the clients and servers of a process have
// open, as JSON, for `durabus streams` and whoever reads it. Nothing serves it
// unless a program mounts [Handler].
//
// It tells names of RPCs, ids of peers and calls, positions and counts; never a
// query, a value or metadata. It asks nobody who they are: listen on loopback, or
// put it behind what lets only operators in.
package busdebug

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/durabus/durabus/bus"
)

// A Source is a [bus.Client] or a [bus.Server].
type Source interface{ Snapshot() bus.Snapshot }

// A Page is what the handler serves.
type Page struct {
	Program   string         `json:"program"`
	PID       int            `json:"pid"`
	Total     int            `json:"total"` // streams that there are
	Shown     int            `json:"shown"` // and of which the snapshots tell
	Snapshots []bus.Snapshot `json:"snapshots"`
}

// Streams that a page shows, unless the request has ?limit=.
const defaultLimit = 1000

// Handler serves a [Page] of sources. Of each it shows the streams that wait
// first, then those whose peer was not heard for longest: 1000 of them, or as
// many as ?limit= says. To make a page costs a few microseconds for each stream
// that there is.
func Handler(sources ...Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET is served here", http.StatusMethodNotAllowed)
			return
		}
		limit, err := limitOf(r)
		if err != nil {
			http.Error(w, "limit must be a number from 0", http.StatusBadRequest)
			return
		}
		page := Page{Program: filepath.Base(os.Args[0]), PID: os.Getpid(), Snapshots: []bus.Snapshot{}}
		for _, s := range sources {
			page.add(s.Snapshot(), limit)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_ = json.NewEncoder(w).Encode(page) // an error is that nobody is there to read it
	})
}

func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

// add adds a snapshot with its first streams.
func (p *Page) add(s bus.Snapshot, limit int) {
	slices.SortStableFunc(s.Streams, first)
	p.Total += len(s.Streams)
	s.Streams = s.Streams[:min(limit, len(s.Streams))]
	p.Shown += len(s.Streams)
	p.Snapshots = append(p.Snapshots, s)
}

// first orders streams by how much they seem to be in trouble.
func first(a, b bus.StreamInfo) int {
	switch {
	case a.Waits != "" && b.Waits == "":
		return -1
	case a.Waits == "" && b.Waits != "":
		return 1
	}
	return cmp.Or(cmp.Compare(b.Heard, a.Heard), cmp.Compare(b.Queued, a.Queued), cmp.Compare(b.Age, a.Age))
}
