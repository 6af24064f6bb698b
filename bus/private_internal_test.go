// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"runtime"
	"strings"
	"testing"
)

// Queries of what could not be shared are the callers' to choose.
func TestWhatCouldNotBeSharedIsRememberedWithoutItsQuery(t *testing.T) {
	d := Description{Name: "shared", Version: 1, Kind: State}
	srv, p := &Server{feeds: newFeeds()}, &endpoint{Description: d}
	key := func(n int) feedKey {
		return feedKey{Description: d, query: strings.Repeat("x", 100<<10+n)}
	}
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	for n := range 200 {
		srv.unshare(p, key(n), errNoSource)
	}
	if grown := int64(held()) - int64(before); grown > 1<<20 {
		t.Errorf("200 queries of 100 KiB keep %d bytes", grown)
	}
	if srv.feeds.mayShare(key(7)) || !srv.feeds.mayShare(key(200)) {
		t.Error("it is not remembered which")
	}
}
