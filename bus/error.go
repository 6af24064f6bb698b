// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A Code says what went wrong in a way programs can act on. It is an error, so
// that errors.Is(err, bus.Busy) works and a handler may return one.
type Code string

func (c Code) Error() string { return "durabus: " + string(c) }

// The codes. The first group is certain that the handler did not run.
const (
	NoResponder  Code = "no responder"     // nobody serves the name
	Unserved     Code = "version unserved" // others serve the name, nobody this version
	Unauthorized Code = "unauthorized"     // the responder refused the caller
	Denied       Code = "denied"           // the broker refused the subject
	Busy         Code = "busy"             // the responder is at its limit
	Draining     Code = "draining"         // the responder is leaving; others may serve
	TooLarge     Code = "too large"        // a value or metadata beyond its limit
	Invalid      Code = "invalid"          // the definition or its use is wrong

	Disconnected Code = "disconnected" // from the broker
	NoAnswer     Code = "no answer"    // silence; the message says what may cause it
	Gone         Code = "gone"         // the responder died or became unreachable
	Expired      Code = "expired"      // the deadline passed
	Canceled     Code = "canceled"     // the caller gave up
	Lost         Code = "lost"         // updates are missing
	Stalled      Code = "stalled"      // the reader took nothing for too long

	Undecodable   Code = "undecodable"       // bytes do not fit the type
	Inconvertible Code = "inconvertible"     // a conversion between versions failed
	Failed        Code = "failed"            // the handler returned an undeclared error
	Panicked      Code = "panicked"          // the handler; its trace, or that of others of the same minute, is in the responder's log
	Application   Code = "application error" // the handler returned one of the definition's errors
)

// codes are those that may come off the wire; others read as Failed.
var codes = []Code{
	NoResponder, Unserved, Unauthorized, Denied, Busy, Draining, TooLarge, Invalid, Disconnected, NoAnswer, Gone,
	Expired, Canceled, Lost, Stalled, Undecodable, Inconvertible, Failed, Panicked, Application,
}

func knownCode(s string) Code {
	if i := slices.Index(codes, Code(s)); i >= 0 {
		return codes[i]
	}
	return Failed
}

// An Error is every error that a Func of this module returns.
type Error struct {
	Code       Code
	RPC        Description
	Instance   string // who said so; empty if this process did
	CallID     string // in the logs of both sides; empty if nothing was sent
	MayHaveRun bool   // whether the handler may have run; if not, a retry is safe
	Message    string // what happened and, where something helps, what to do
	Err        error  // the application's error for Application, else the cause or nil

	// Again, if not nil, is closed when a retry may succeed: when the connection
	// is back, or closed so that a retry says that it will not be; or, after
	// NoResponder, Unserved and Gone, when an instance that serves this version is
	// announced.
	Again <-chan struct{}

	typ    string // the name of the error type of an Application error
	detail []byte // its encoding
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.RPC.Name != "" {
		s = e.RPC.String() + ": " + s
	}
	if e.Instance != "" {
		s += " (said " + e.Instance + ")"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is e's code, or the context error that e stands for.
func (e *Error) Is(target error) bool {
	switch {
	case e.Code == Expired && target == context.DeadlineExceeded:
		return true
	case e.Code == Canceled && target == context.Canceled:
		return true
	}
	c, ok := target.(Code)
	return ok && c == e.Code
}

// contextError is what a call ends with when its context is done.
func contextError(ctx context.Context, d Description) *Error {
	cause := context.Cause(ctx)
	code := Canceled
	if ctx.Err() == context.DeadlineExceeded {
		code = Expired
	}
	if c, ok := cause.(Code); ok {
		return &Error{Code: c, RPC: d, MayHaveRun: true}
	}
	return &Error{Code: code, RPC: d, MayHaveRun: true, Err: cause, Message: cause.Error()}
}

// An ElementError stands for one update that is missing because it could not be
// converted. It is the only error after which a loop over updates goes on with
// the update after it.
type ElementError struct {
	RPC Description
	Err error
}

func (e *ElementError) Error() string {
	if e.RPC.Name == "" {
		return fmt.Sprintf("an update was not converted: %v", e.Err)
	}
	return fmt.Sprintf("%v: an update was not converted: %v", e.RPC, e.Err)
}

func (e *ElementError) Unwrap() error { return e.Err }

// IsElement reports whether err stands for one update and does not end the
// stream.
func IsElement(err error) bool {
	if err == nil {
		return false
	}
	_, ok := errors.AsType[*ElementError](err)
	return ok
}

// A Break tells of a stream that was interrupted and is being taken up again
// where it was, so that no update is missing: first with Err, what broke it,
// then with Info, by whom it goes on. Where it cannot be taken up the stream
// ends with an [Error]. Only streams opened under [WithResume] have Breaks.
type Break struct {
	Err  error
	Info *Info
}

func (b *Break) Error() string {
	switch {
	case b.Err != nil:
		return "durabus: stream interrupted: " + b.Err.Error()
	case b.Info != nil:
		return "durabus: stream resumed at " + b.Info.Instance
	}
	return "durabus: stream resumed"
}

func (b *Break) Unwrap() error { return b.Err }

// EndsStream reports whether err is the last thing of a stream: it is neither
// an [ElementError] nor a [Break].
func EndsStream(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*Break](err); ok {
		return false
	}
	return !IsElement(err)
}
