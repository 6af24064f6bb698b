// SPDX-License-Identifier: Apache-2.0

package live

import (
	"sync"

	"github.com/durabus/durabus/examples/procs"
)

// A history holds the digests of the latest tables, whose sequence numbers
// follow one another. Its methods may be called concurrently.
type history struct {
	mu     sync.Mutex // guards the fields below
	limit  int
	oldest uint64           // sequence number of kept[0]
	kept   []map[int]string // digests by version
}

// add remembers the digests of t, and forgets the oldest beyond the limit.
func (h *history) add(t procs.Table) {
	digests := t.Digests() // outside the lock: it takes a while
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kept) == 0 {
		h.oldest = t.Seq
	}
	h.kept = append(h.kept, digests)
	if len(h.kept) > h.limit {
		h.kept = h.kept[1:] // append moves what is left when it grows
		h.oldest++
	}
}

// digest returns the digest at m, or a *procs.Forgotten.
func (h *history) digest(m procs.Moment) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	newest := h.oldest + uint64(len(h.kept)) - 1
	if m.Seq >= h.oldest && m.Seq <= newest {
		if d, ok := h.kept[m.Seq-h.oldest][m.Version]; ok {
			return d, nil
		}
	}
	return "", &procs.Forgotten{Moment: m, Oldest: h.oldest, Newest: newest}
}
