// SPDX-License-Identifier: Apache-2.0

// Package flow holds the rules of a stream as state machines: numbers, credit,
// reassembly, liveness and age. It holds no locks, starts no goroutines and
// reads no clock: its callers own all three. Times are durations since an origin
// of the caller's.
//
// Credit is a total, not a difference: "you may have sent n bytes since the
// beginning". A grant that is lost, repeated or late is therefore harmless,
// which matters on a bus that delivers at most once. A credited frame costs its
// payload and [Overhead], so that the same number bounds the count of messages.
package flow

// Overhead is what a credited frame costs beside its payload, in bytes.
const Overhead = 128

// Cost is what a credited frame with a payload of n bytes costs.
func Cost(n int) uint64 { return uint64(n) + Overhead }
