// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"strings"
	"testing"
)

// Queries of what could not be shared are the callers' to choose.
func TestWhatCouldNotBeSharedIsRememberedByItsQuery(t *testing.T) {
	d := Description{Name: "shared", Version: 1, Kind: State}
	for name, size := range map[string]int{"short": 1, "as long as is kept": wholeQuery, "long": 100 << 10} {
		t.Run(name, func(t *testing.T) {
			srv, p := &Server{feeds: newFeeds()}, &endpoint{Description: d}
			key := func(n byte) feedKey {
				return keyOf(Call{Description: d, Query: bytes.Repeat([]byte{n}, size)})
			}
			for n := range byte(200) {
				srv.unshare(p, key(n), errNoSource)
			}
			if srv.feeds.mayShare(key(7)) || !srv.feeds.mayShare(key(200)) {
				t.Error("it is not remembered which")
			}
			if n := len(key(1).query); n > wholeQuery {
				t.Errorf("%d bytes of it are kept", n)
			}
			typed := keyOf(Call{Description: d, ContentType: strings.Repeat("x", 1000), Query: bytes.Repeat([]byte{1}, size)})
			if n := len(typed.query) + len(typed.contentType); n > wholeQuery || typed == key(1) {
				t.Errorf("of a long content type %d bytes are kept", n)
			}
		})
	}
}

// A caller chooses its query, that of another among them.
func TestAQueryThatLooksLikeTheSumOfAnotherIsItself(t *testing.T) {
	long := keyOf(Call{Query: bytes.Repeat([]byte("x"), 1000)})
	if short := keyOf(Call{Query: []byte(long.query)}); short == long {
		t.Error("two queries share a feed")
	}
}
