// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
)

// An Outcome says what became of a call coarsely enough to count calls by it.
type Outcome string

// The outcomes. Each call has one.
const (
	Succeeded   Outcome = "succeeded"
	Rejected    Outcome = "rejected"    // by the application: one of the definition's errors
	Refused     Outcome = "refused"     // before the handler ran, for what the caller may mend: its rights, its query, its version
	Unavailable Outcome = "unavailable" // nobody was there to serve it, or nobody with room
	Interrupted Outcome = "interrupted" // the way or the responder was lost while it ran
	Abandoned   Outcome = "abandoned"   // the caller gave up, its deadline passed, or it did not read
	Faulty      Outcome = "faulty"      // the responder failed: a defect to look for
)

var outcomes = map[Code]Outcome{
	Application: Rejected,

	Unserved: Refused, Unauthorized: Refused, Denied: Refused, TooLarge: Refused, Invalid: Refused, Undecodable: Refused,
	NoResponder: Unavailable, Busy: Unavailable, Draining: Unavailable,
	Disconnected: Interrupted, NoAnswer: Interrupted, Gone: Interrupted, Lost: Interrupted,
	Expired: Abandoned, Canceled: Abandoned, Stalled: Abandoned,
	Inconvertible: Faulty, Failed: Faulty, Panicked: Faulty,
}

// OutcomeOf classifies what a Func, a stream or a [CallFunc] returned; nil is a
// success, and an error that is none of this package is Faulty. It is for
// counting: nothing that is sent depends on it.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Succeeded
	}
	code, ok := errors.AsType[Code](err)
	if e, is := errors.AsType[*Error](err); is {
		code, ok = e.Code, true
	}
	if o, known := outcomes[code]; ok && known {
		return o
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Abandoned
	}
	return Faulty
}
