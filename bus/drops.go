// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/wire"
)

// drops counts what was dropped because it made no sense, by reason, and logs
// each reason at most once a minute: nothing is logged at a rate that a peer
// controls.
type drops struct {
	who string
	log journal

	mu sync.Mutex // guards the field below and what it has
	of map[string]*dropped
}

// A dropped is how often something was dropped for one reason.
type dropped struct {
	count  uint64
	logged time.Time
}

const dropLogEvery = time.Minute

// add counts one drop. Reasons are few and constant; what was dropped goes into
// attrs.
func (d *drops) add(reason string, attrs ...any) {
	d.mu.Lock()
	r := d.of[reason]
	if r == nil {
		if d.of == nil {
			d.of = map[string]*dropped{}
		}
		r = new(dropped)
		d.of[reason] = r
	}
	r.count++
	n, now := r.count, time.Now()
	quiet := n > 1 && now.Sub(r.logged) < dropLogEvery
	if !quiet {
		r.logged = now
	}
	d.mu.Unlock()
	if !quiet {
		d.log.write(slog.LevelWarn, "dropped: "+reason, append([]any{"at", d.who, "count", n}, attrs...)...)
	}
}

func (d *drops) all() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[string]uint64, len(d.of))
	for reason, r := range d.of {
		all[reason] = r.count
	}
	return all
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
