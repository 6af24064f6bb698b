// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/wire"
)

// drops counts what was dropped because it made no sense, by reason, and logs
// each reason at most once a minute: nothing is logged at a rate that a peer
// controls.
type drops struct {
	who string

	mu     sync.Mutex // guards the fields below
	counts map[string]uint64
	logged map[string]time.Time
}

const dropLogEvery = time.Minute

// add counts one drop. Reasons are few and constant; what was dropped goes into
// attrs.
func (d *drops) add(reason string, attrs ...any) {
	d.mu.Lock()
	if d.counts == nil {
		d.counts, d.logged = map[string]uint64{}, map[string]time.Time{}
	}
	d.counts[reason]++
	now := time.Now()
	last, again := d.logged[reason]
	quiet := again && now.Sub(last) < dropLogEvery
	if !quiet {
		d.logged[reason] = now
	}
	n := d.counts[reason]
	d.mu.Unlock()
	if !quiet {
		slog.Warn("durabus: dropped: "+reason, append([]any{"at", d.who, "count", n}, attrs...)...)
	}
}

func (d *drops) all() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.counts)
}

// The reasons.
const (
	dropMalformed  = "malformed message"
	dropUnknown    = "frame of unknown kind"
	dropMisplaced  = "frame that does not belong here"
	dropLate       = "frame of a call that has ended"
	dropRepeated   = "repeated frame"
	dropCredit     = "credit that goes back"
	dropStranger   = "message for an unknown session"
	dropRepeatedRq = "repeated request"
	dropOverflow   = "messages for an inbox beyond its limits"
	dropUnheard    = "message that nobody receives"
	dropReply      = "answer to nobody"
	dropNotTaken   = "one-way message that its handler did not take"
	dropResume     = "request to go on at an instance, which the broker refused: permit _D.i.>"
	dropSend       = "message that could not be sent"
)

// dropOf returns the reason to drop a frame that could not be read.
func dropOf(err error) string {
	if _, ok := errors.AsType[*wire.UnknownFrameError](err); ok {
		return dropUnknown
	}
	return dropMalformed
}
