// SPDX-License-Identifier: Apache-2.0

package micro

import "github.com/nats-io/nats.go/micro"

// The headers of an answer that is an error: its text, and its number by
// [HTTPLike].
const (
	ErrorHeader     = micro.ErrorHeader
	ErrorCodeHeader = micro.ErrorCodeHeader
)

// The codes that [Counters] tells from the others.
const (
	codeApplication = "application error"
	codeBusy        = "busy"
)

// numbers has every code of package bus but those that are 500: a fault of the
// responder.
var numbers = map[string]string{
	"invalid":          "400",
	"undecodable":      "400",
	"unauthorized":     "401", // refused by the responder
	"denied":           "403", // refused by the broker
	"no responder":     "404",
	"version unserved": "404",
	"expired":          "408",
	"stalled":          "408", // the reader took too long
	"too large":        "413",
	codeApplication:    "422", // understood, and answered with a declared error
	codeBusy:           "429",
	"canceled":         "499", // the caller closed the call
	"draining":         "503",
	"gone":             "503",
	"disconnected":     "503",
	"no answer":        "504",
}

// HTTPLike returns the three digits for [ErrorCodeHeader] that stand for code,
// the string of a bus.Code. They read as an HTTP status does: 4xx is for the
// caller to mend or to repeat later, 5xx is not the caller's doing. A code that
// it does not know is "500", as are lost, inconvertible, failed and panicked.
func HTTPLike(code string) string {
	if n, ok := numbers[code]; ok {
		return n
	}
	return "500"
}
