// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"strings"

	"github.com/durabus/durabus/internal/wire"
)

// toWire turns an error of a call into its form on the wire.
func toWire(err error) *wire.Error {
	if ee, ok := errors.AsType[*ElementError](err); ok {
		return &wire.Error{Code: string(Inconvertible), Message: ee.Err.Error(), MayHaveRun: true}
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &wire.Error{Code: string(Failed), Message: cut(err.Error(), maxText), MayHaveRun: true}
	}
	return &wire.Error{
		Code: string(e.Code), Message: cut(e.Message, maxText), MayHaveRun: e.MayHaveRun,
		Instance: e.Instance, CallID: e.CallID, Type: e.typ, Detail: e.detail,
	}
}

// cut returns the beginning of a text that is for people.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

// fromWire is its inverse, at the caller of d.
func fromWire(w *wire.Error, d Description) *Error {
	e := &Error{
		Code: knownCode(w.Code), RPC: d, Message: w.Message, MayHaveRun: w.MayHaveRun,
		Instance: w.Instance, CallID: w.CallID, typ: w.Type,
	}
	if len(w.Detail) > 0 {
		e.detail = append([]byte(nil), w.Detail...) // not the whole message
	}
	if w.Code != string(e.Code) {
		e.Message = w.Code + ": " + e.Message // of a newer responder
	}
	return e
}
