// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// maxPanics is how many panics of one RPC are logged in a minute, each with its
// trace: callers may provoke them as fast as they call.
const maxPanics = 4

// Panics logs those of an RPC's handler, or of a function that is told of its calls.
type panics struct {
	mu sync.Mutex // guards the field below
	of map[Description]*panicked
}

type panicked struct {
	since  time.Time // a minute began
	logged int       // in it
	left   uint64    // out, since one was logged
}

// A thrown is a panic that was recovered where it cannot be logged.
type thrown struct {
	value any
	stack []byte
}

func (t *thrown) Error() string { return fmt.Sprint("panic: ", t.value) }

// log logs a panic with the trace of its goroutine, which must be the one that
// calls unless value is a thrown.
// It reports false if the log has enough of this RPC for now: then the next that is
// logged says how many were not.
func (p *panics) log(what string, d Description, call string, value any) bool {
	left, ok := p.mayLog(d, time.Now())
	if !ok {
		return false
	}
	t, was := value.(*thrown)
	if !was {
		t = &thrown{value, debug.Stack()}
	}
	slog.Error("durabus: "+what+" panicked", "rpc", d.String(), "call", call, "panic", fmt.Sprint(t.value), "left_out", left, "stack", string(t.stack))
	return true
}

func (p *panics) mayLog(d Description, now time.Time) (left uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[d]
	if one == nil {
		if one = p.first(d, now); one == nil {
			return 0, false
		}
	}
	if now.Sub(one.since) >= logEvery {
		one.since, one.logged = now, 0
	}
	if one.logged == maxPanics {
		one.left++
		return 0, false
	}
	one.logged++
	left, one.left = one.left, 0
	return left, true
}

// first returns the record of an RPC that has none, or nil where too many have one:
// whoever answers unknown names has them from callers. p.mu is held.
func (p *panics) first(d Description, now time.Time) *panicked {
	if len(p.of) >= maxLogged {
		for k, one := range p.of {
			if now.Sub(one.since) >= logEvery {
				delete(p.of, k)
			}
		}
	}
	if len(p.of) >= maxLogged {
		return nil
	}
	if p.of == nil {
		p.of = map[Description]*panicked{}
	}
	p.of[d] = &panicked{since: now}
	return p.of[d]
}

// caught is what a codec threw that panicked in push, if one did, which held the lock.
// A look for it in push itself would cost a short update a seventh of its time.
func (s *outStream) caught(err *error) {
	if !s.encoding {
		return
	}
	p := recover()
	s.encoding = false
	s.mu.Unlock()
	if p != nil { // else it ends its goroutine
		*err = s.job.srv.mux.unencodable(&thrown{p, debug.Stack()}, s.job)
	}
}

// unencodable is the end of a stream one of whose updates its codec did not take.
func (m *mux) unencodable(err error, by callee) error {
	switch e := err.(type) {
	case *Error:
		return e
	case *thrown:
		m.recovered(e, by.description(), by, &err)
		return err
	}
	return &Error{Code: Failed, RPC: by.description(), MayHaveRun: true, Err: err, Message: "an update cannot be encoded: " + err.Error()}
}
