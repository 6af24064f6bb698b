// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"
)

// Shared returns h with a promise: what its streams carry depends on the query
// alone, not on who asks, nor through which connection or with which metadata.
// The server then runs h once for all callers that ask the same, encodes and
// publishes each update once, and has for each caller no more than an entry in a
// list. Nothing is guessed: without Shared each caller has a stream of its own.
//
// Middleware, around h or of the service, sees every caller still, and may refuse
// it; but a caller that is let in gets what all get, so middleware must not
// change the updates by who asks. Once more for each feed it sees the call of the
// first of its callers, whose updates are looped over. The broker's permissions,
// not middleware, keep others from subscribing to _D.f.<name>.>.
//
// A state is shared where its updates come of one staterpc.Publisher, through
// whatever conversions; other states work as before. A pipe's updates begin, for
// each caller, with the next one. Callers that read too slowly lose their stream
// with [Lost], where those with a stream of their own slow their handler; those
// that merge what they are too slow for (staterpc.Conflate) do neither.
//
// An update is decoded once in each client, and its readers there have the same
// value: none may change it, nor a part of it that it keeps.
//
// On kinds without streams Shared has no effect.
func (h Handler) Shared() Handler {
	h.shared = true
	return h
}

// Shared is [Handler.Shared] for all versions of a family. Each version in use
// costs a feed of its own.
func Shared(handlers ...Handler) []Handler {
	all := make([]Handler, 0, len(handlers))
	for _, h := range handlers {
		all = append(all, h.Shared())
	}
	return all
}

// A feedKey is all that a shared stream depends on. Where a caller chose much of it,
// it has the SHA-256 sum of that: keys are kept for as long as callers like, and on no
// budget.
type feedKey struct {
	Description
	contentType, query string
	summed             bool
}

// wholeQuery is how long a query with its content type is at most that a key has as
// they are.
const wholeQuery = 64

func keyOf(c Call) feedKey {
	if len(c.ContentType)+len(c.Query) <= wholeQuery {
		return feedKey{c.Description, c.ContentType, string(c.Query), false}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %s", len(c.ContentType), c.ContentType)
	h.Write(c.Query)
	return feedKey{c.Description, "", string(h.Sum(nil)), true}
}

// snapshotFor is how long an encoded state serves those who join a feed.
const snapshotFor = 10 * time.Millisecond

// Snapshots are the states of one endpoint that were encoded a moment ago. Those
// who ask while one is being made wait for it.
type snapshots struct {
	mu   sync.Mutex // guards the field below
	made map[feedKey]*snapshot
}

type snapshot struct {
	done     chan struct{} // closed when the fields below are there
	ok       bool
	first    []byte
	metadata Metadata // that the handler gave
	epoch    string
	position uint64
}

// Snapshot returns what answer does or, to a caller of a shared stream, what it
// returned to another a moment ago: the state alone, encoded. It is for the
// innermost handler of a call, behind all middleware.
func (s *Source) Snapshot(ctx context.Context, c Call, answer func() (Reply, error)) (Reply, error) {
	if s == nil || s.snapshots == nil {
		return answer()
	}
	key, in := keyOf(c), IncomingCall(ctx)
	for old := (*snapshot)(nil); ; {
		shot, mine := s.snapshots.find(key, old)
		if mine {
			return s.snapshots.make(key, shot, s, in, answer)
		}
		select {
		case <-shot.done:
		case <-ctx.Done():
			return Reply{}, contextError(ctx, c.Description)
		}
		if old = shot; shot.ok && shot.position >= s.least {
			s.Begin(shot.epoch, shot.position)
			if in.Reply == nil {
				in.Reply = Metadata{}
			}
			maps.Copy(in.Reply, shot.metadata)
			return Reply{First: shot.first}, nil
		}
	}
}

// find returns the snapshot for key, another than old, which does not do; and
// whether the caller is to make it.
func (n *snapshots) find(key feedKey, old *snapshot) (shot *snapshot, mine bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if shot := n.made[key]; shot != nil && shot != old {
		return shot, false
	}
	if n.made == nil {
		n.made = map[feedKey]*snapshot{}
	}
	shot = &snapshot{done: make(chan struct{})}
	n.made[key] = shot
	return shot, true
}

// make has the state answered and keeps it for a while, if it says where it
// stands.
func (n *snapshots) make(key feedKey, shot *snapshot, s *Source, in *Incoming, answer func() (Reply, error)) (r Reply, err error) {
	defer func() {
		close(shot.done)
		if shot.ok {
			time.AfterFunc(snapshotFor, func() { n.forget(key, shot) })
		} else {
			n.forget(key, shot)
		}
	}()
	before := maps.Clone(in.Reply)
	if r, err = answer(); err != nil {
		return r, err
	}
	shot.metadata = Metadata{}
	for k, v := range in.Reply {
		if old, was := before[k]; !was || old != v {
			shot.metadata[k] = v
		}
	}
	shot.first = r.First
	shot.epoch, shot.position, shot.ok = s.place()
	return r, nil
}

func (n *snapshots) forget(key feedKey, shot *snapshot) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.made[key] == shot {
		delete(n.made, key)
	}
}
