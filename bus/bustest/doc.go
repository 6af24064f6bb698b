// SPDX-License-Identifier: Apache-2.0

// Package bustest helps to test handlers and callers without a broker.
//
// A [Link] is a caller of handlers in this process whose line can be cut and
// healed and whose handlers can be replaced, as by an upgrade. It has no
// goroutine and no timer of its own, so it runs under testing/synctest, where
// an outage of an hour takes no time.
//
// A handler runs on the goroutine of whoever calls it: for the first value
// inside the call, for the updates inside the loop over them. Cutting the line
// cancels the handler's context, and the reader wakes as soon as the handler
// returns. A handler that ignores its context therefore holds up its reader,
// which it does not over NATS.
//
// A broker in the test's own process is in package bus/bustest/broker.
package bustest
