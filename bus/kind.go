// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
)

// This file is the plumbing that the packages of the kinds are made of. Programs
// do not need it.

// Do makes a call with the metadata of ctx and fills the [Info] that
// [WithInfo] asked for. What is defined wrongly is not sent.
func Do(ctx context.Context, c Caller, call Call) (r Reply, err error) {
	call.Metadata, _ = ctx.Value(metadataKey{}).(Metadata)
	switch err = checkDescription(call.Description); {
	case err != nil:
	case c == nil:
		err = &Error{Code: Invalid, RPC: call.Description, Message: "nil Caller"}
	default:
		r, err = c.Call(ctx, call)
		if _, ok := errors.AsType[*Error](err); err != nil && !ok { // of middleware
			err = EncodeError(call.Description, nil, err)
		}
	}
	if report, ok := ctx.Value(infoKey{}).(func(Info)); ok {
		if r.RPC == (Description{}) {
			r.RPC = call.Description
		}
		report(r.Info)
	}
	return r, err
}

// PassesOn reports whether others than this package see the context of a call that c
// carries out: middleware, or a handler. A stream whose caller leaves it takes
// nothing else with it.
func PassesOn(c Caller) bool {
	cl, ok := c.(*Client)
	return !ok || len(cl.opts.Middleware) > 0
}

// Leave ends the stream of r, which came of a [Client], where nobody is going to
// loop over it.
func Leave(r Reply) {
	if r.reader != nil {
		r.reader.leave()
	}
}

// Comes is [Client.Comes] of whatever c is; nil of one that hears of no arrivals.
func Comes(c Caller, name string, versions ...int) <-chan struct{} {
	if l, ok := c.(interface {
		Comes(name string, versions ...int) <-chan struct{}
	}); ok {
		return l.Comes(name, versions...)
	}
	return nil
}

// CheckDescription refuses names, versions and kinds that cannot be subjects.
func CheckDescription(d Description) error { return checkDescription(d) }

// ContentTypeOf returns the content type of calls whose values are of types: the
// first that is not JSON, as a call of JSON asks for JSON throughout.
func ContentTypeOf(types ...string) string {
	for _, t := range types {
		if t != ContentTypeJSON {
			return t
		}
	}
	return ContentTypeJSON
}

// QueryNotEncoded is the client's error of a query that does not fit its codec.
func QueryNotEncoded(d Description, err error) error {
	return &Error{Code: Invalid, RPC: d, Err: err, Message: "the query cannot be encoded: " + err.Error()}
}

// QueryNotDecoded is the handler's error of bytes that do not fit its query.
func QueryNotDecoded(d Description, err error) error {
	return &Error{Code: Undecodable, RPC: d, Err: err, Message: "the query: " + err.Error()}
}

// AnswerNotEncoded is the handler's error of an answer, a state or an update,
// named by what, that does not fit its codec.
func AnswerNotEncoded(d Description, what string, err error) error {
	return &Error{Code: Failed, RPC: d, MayHaveRun: true, Err: err, Message: what + " cannot be encoded: " + err.Error()}
}

// AnswerNotDecoded is the client's error of bytes that do not fit what it
// expected of a reply.
func AnswerNotDecoded(i Info, what string, err error) error {
	return &Error{Code: Undecodable, RPC: i.RPC, CallID: i.CallID, MayHaveRun: true, Err: err, Message: what + ": " + err.Error()}
}

// SaysUnserved reports whether err is the answer that nobody serves the version
// called, or only one who is leaving and has not begun, so that another may be
// tried; not whether a call made by a conversion or a handler ended so.
func SaysUnserved(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == Unserved || e.Code == Draining && !e.MayHaveRun)
}

// EncodeError turns what a handler of d returned into what is sent: one of the
// definition's error types wherever it stands in the chain, else a [Code] that
// the handler chose, else [Failed]. An Error of another RPC, which the handler
// itself called, does not pass for an error of this one. The errors after which a
// stream goes on are not for it.
func EncodeError(d Description, types []ErrorType, err error) error {
	if err == nil {
		return nil
	}
	out := &Error{Code: Failed, RPC: d, Message: err.Error(), MayHaveRun: true, Err: err}
	for _, t := range types {
		detail, ok, merr := t.encode(err)
		if !ok {
			continue
		}
		if merr != nil {
			out.Message += "; its error " + t.Name + " could not be encoded: " + merr.Error()
			return out
		}
		if len(detail) > maxDetail {
			out.Message += fmt.Sprintf("; its error %s has %d bytes, at most %d are allowed", t.Name, len(detail), maxDetail)
			return out
		}
		out.Code, out.typ, out.detail = Application, t.Name, detail
		return out
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if own(e, d) {
			return e
		}
		return out // of a nested call
	}
	switch c, ok := errors.AsType[Code](err); {
	case ok:
		out.Code = c
		out.MayHaveRun = c != Unauthorized && c != Busy && c != Draining
	case errors.Is(err, context.Canceled):
		out.Code = Canceled
	case errors.Is(err, context.DeadlineExceeded):
		out.Code = Expired
	}
	return out
}

// own reports whether e is about d itself, not about a call that d's handler
// made: the handler wrote it without naming an RPC, or a layer between handler
// and bus did for d.
func own(e *Error, d Description) bool {
	if e.RPC == (Description{}) {
		return true
	}
	return e.RPC == d && e.Instance == "" && (e.Code == Inconvertible || e.Code == Undecodable || e.Code == Invalid || e.Code == Application)
}

// DecodeError turns what arrived into what the caller sees: the application's
// error in [Error.Err]. An error type that this definition does not list, of a
// newer responder, keeps its code and its text.
func DecodeError(types []ErrorType, err error) error {
	e, ok := err.(*Error)
	if !ok || e.Code != Application || e.typ == "" {
		return err
	}
	for _, t := range types {
		if t.Name != e.typ {
			continue
		}
		c := *e
		cause, derr := t.decode(e.detail)
		if derr != nil {
			c.Code, c.Err = Undecodable, derr
			c.Message = "error " + t.Name + ": " + derr.Error()
			return &c
		}
		c.Err = cause
		return &c
	}
	return err
}
