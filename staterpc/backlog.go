// SPDX-License-Identifier: Apache-2.0

package staterpc

import (
	"iter"

	"github.com/durabus/durabus/bus"
)

// A Backlog says how much a [Publisher] keeps of what it published, so that an
// interrupted stream can be taken up where it was. It is kept once, whatever the
// number of watchers.
type Backlog[U any] struct {
	Updates int         // to keep at most; 0 keeps none
	Bytes   int         // of these updates, at most, as Size has them; 0 is no such limit
	Size    func(U) int // bytes of an update; needed where Bytes is set
}

// A history is the last updates of a Publisher, and the state before them.
type history[S, U any] struct {
	Backlog[U]
	epoch string // of the publisher, whether or not it keeps anything
	base  S
	kept  []U // what is cut off or taken from it is never written to again
	bytes int
}

// Keep has p keep a backlog. Durable callers whose policy says Resume then go on
// after an interruption with the updates they missed, unless those are more than
// is kept, and need no fresh state. For them the state at any of the kept
// positions is made again, so apply runs twice for each update that leaves the
// backlog, and concurrently. Positions count the updates from 1, in an epoch of
// p's own, and every caller is told them (see [bus.Info.Reached]). Keep returns p,
// and must be called before p is used.
//
// A pipe that yields the updates of Watch resumes as well. Conversions may stand
// between the updates and the handler's own. A handler that moves them to another
// goroutine, or mixes them with others, works as without a backlog.
func (p *Publisher[S, U]) Keep(b Backlog[U]) *Publisher[S, U] {
	if b.Updates > 0 {
		p.history.Backlog, p.history.base, p.history.kept = b, p.state, nil
	}
	return p
}

// add keeps u, which has size bytes.
func (h *history[S, U]) add(u U, size int) {
	if h.Updates > 0 {
		h.kept = append(h.kept, u)
		h.bytes += size
	}
}

// trim lets go of what is too much.
func (h *history[S, U]) trim(apply func(S, U) S) {
	for len(h.kept) > h.Updates || h.Bytes > 0 && h.bytes > h.Bytes {
		base, size := apply(h.base, h.kept[0]), h.size(h.kept[0])
		h.base = base
		h.bytes -= size
		h.kept = h.kept[1:]
	}
}

func (h *history[S, U]) size(u U) int {
	if h.Updates == 0 || h.Bytes == 0 || h.Size == nil {
		return 0
	}
	return h.Size(u)
}

// since splits what is kept at a position that a caller asks for. It reports
// false where that is not one of this history, which ends at position now.
func (h *history[S, U]) since(epoch string, position, now uint64) (before, missed []U, ok bool) {
	if epoch != h.epoch || position > now || now-position > uint64(len(h.kept)) {
		return nil, nil, false
	}
	n := len(h.kept) - int(now-position)
	return h.kept[:n:n], h.kept[n:len(h.kept):len(h.kept)], true
}

// located yields missed and then updates, and tells source of each.
func located[U any](source *bus.Source, missed []U, updates iter.Seq2[U, error]) iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		tell := func(u U, err error) bool {
			if err != nil {
				return yield(u, err)
			}
			source.Enter()
			more := yield(u, nil)
			source.Leave()
			return more
		}
		for _, u := range missed {
			if !tell(u, nil) {
				return
			}
		}
		updates(tell)
	}
}
