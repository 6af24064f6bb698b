// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
)

// This file is the plumbing that the packages of the kinds are made of. Programs
// do not need it.

// Do makes a call with the metadata of ctx and fills the [Info] that
// [WithInfo] asked for.
func Do(ctx context.Context, c Caller, call Call) (Reply, error) {
	call.Metadata, _ = ctx.Value(metadataKey{}).(Metadata)
	r, err := c.Call(ctx, call)
	if report, ok := ctx.Value(infoKey{}).(func(Info)); ok {
		if r.RPC == (Description{}) {
			r.RPC = call.Description
		}
		report(r.Info)
	}
	return r, err
}

// DecodeElement decodes e.
func DecodeElement[T any](e Element, c TypedCodec[T]) (v T, err error) {
	b, err := e.Bytes()
	if err != nil {
		return v, err
	}
	return c.Decode(b)
}

// NotDecoded is the error of bytes that do not fit their type.
func NotDecoded(d Description, what string, err error) error {
	return &Error{Code: Undecodable, RPC: d, Err: err, Message: what + ": " + err.Error()}
}

// EncodeError turns what a handler of d returned into what is sent: one of the
// definition's error types wherever it stands in the chain, else a [Code] that
// the handler chose, else [Failed]. An Error of another RPC, which the handler
// itself called, does not pass for an error of this one. An [ElementError] and a
// [Break] stay as they are.
func EncodeError(d Description, types []ErrorType, err error) error {
	if err == nil || !EndsStream(err) {
		return err
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
