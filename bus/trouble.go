// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Counters count what goes wrong and is dealt with, since a client or a server
// was made. Each is logged as well, at most once a minute for each RPC.
type Counters struct {
	Dropped     uint64 `json:"dropped"`     // messages that made no sense; [Snapshot.Dropped] has the reasons
	Lost        uint64 `json:"lost"`        // streams with a gap, or whose end is not known
	Rejoined    uint64 `json:"rejoined"`    // times that updates of a shared feed were missing and asked for again
	Resumed     uint64 `json:"resumed"`     // interrupted streams that went on with nothing missing
	Refetched   uint64 `json:"refetched"`   // durable streams that were opened anew, a state's with a fresh one
	Busy        uint64 `json:"busy"`        // calls refused because the responder was at its limit
	Retried     uint64 `json:"retried"`     // requests sent again for a call
	Gone        uint64 `json:"gone"`        // peers that died or became unreachable with streams or calls open
	Reconnected uint64 `json:"reconnected"` // times that the connection to the broker was made again
}

// A trouble is one of the Counters but for Dropped, which drops count.
type trouble uint8

const (
	troubleLost trouble = iota
	troubleRejoined
	troubleResumed
	troubleRefetched
	troubleBusy
	troubleRetried
	troubleGone
	troubleReconnected
	troubleKinds
)

// troubleRecords are what the log says of each.
var troubleRecords = [troubleKinds]struct {
	level slog.Level
	text  string
}{
	troubleLost:        {slog.LevelWarn, "a stream was lost"},
	troubleRejoined:    {slog.LevelInfo, "updates of a shared feed were missing and asked for again"},
	troubleResumed:     {slog.LevelInfo, "an interrupted stream goes on"},
	troubleRefetched:   {slog.LevelInfo, "a stream was opened anew"},
	troubleBusy:        {slog.LevelWarn, "a call was refused as busy"},
	troubleRetried:     {slog.LevelInfo, "a request was sent again"},
	troubleGone:        {slog.LevelWarn, "a peer is gone"},
	troubleReconnected: {slog.LevelInfo, "the connection to the broker was made again"},
}

// How often the same is logged, and how much that is new in that time: names may
// be a peer's.
const (
	logEvery  = time.Minute
	maxLogged = 64
)

// Troubles counts and logs those of a client or a server.
type troubles struct {
	who    string
	log    journal
	counts [troubleKinds]atomic.Uint64

	mu     sync.Mutex // guards the field below
	logged map[troubleOf]time.Time
}

type troubleOf struct {
	trouble
	Description
}

// add counts one trouble with an RPC, which may be none, and a peer, which is ""
// where it is not known.
func (t *troubles) add(what trouble, d Description, peer string, attrs ...any) {
	n := t.counts[what].Add(1)
	if !t.mayLog(troubleOf{what, d}, time.Now()) {
		return
	}
	all := []any{"at", t.who, "count", n}
	if d != (Description{}) {
		all = append(all, "rpc", d)
	}
	if peer != "" {
		all = append(all, "peer", peer)
	}
	t.log.write(troubleRecords[what].level, troubleRecords[what].text, append(all, attrs...)...)
}

// gone counts a peer that had calls or memberships, if it had any.
func (t *troubles) gone(peer string, calls int, why string) {
	if calls > 0 {
		t.add(troubleGone, Description{}, peer, "calls", calls, "why", why)
	}
}

// reconnected counts a connection that was made again since it had number gen. It
// reports false if it was not.
func (t *troubles) reconnected(gen *uint64, now uint64) bool {
	if *gen == now { // the first came late, or it was noticed
		return false
	}
	*gen = now
	t.add(troubleReconnected, Description{}, "")
	return true
}

// mayLog reports whether key was not logged in the last minute, and is now.
func (t *troubles) mayLog(key troubleOf, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, again := t.logged[key]; again && now.Sub(last) < logEvery {
		return false
	}
	if len(t.logged) >= maxLogged {
		for k, last := range t.logged {
			if now.Sub(last) >= logEvery {
				delete(t.logged, k)
			}
		}
	}
	if len(t.logged) >= maxLogged {
		return false
	}
	if t.logged == nil {
		t.logged = map[troubleOf]time.Time{}
	}
	t.logged[key] = now
	return true
}

// all returns the counters, but for the drops.
func (t *troubles) all() Counters {
	n := func(what trouble) uint64 { return t.counts[what].Load() }
	return Counters{
		Lost: n(troubleLost), Rejoined: n(troubleRejoined), Resumed: n(troubleResumed), Refetched: n(troubleRefetched),
		Busy: n(troubleBusy), Retried: n(troubleRetried), Gone: n(troubleGone), Reconnected: n(troubleReconnected),
	}
}

// tally returns the counters, the drops among them, and those by reason.
func tally(t *troubles, d *drops) (Counters, map[string]uint64) {
	all, dropped := t.all(), d.all()
	for _, n := range dropped {
		all.Dropped += n
	}
	return all, dropped
}
