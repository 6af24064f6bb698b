// SPDX-License-Identifier: Apache-2.0

// Package clock is a protocol library: what a responder that tells the time and
// its callers have in common. Both convert, so that either may be upgraded first.
//
// The programs below it are serve, call and follow, of today, and serve and
// follow under old, as they were when version 1 was the newest.
package clock

// What programs use, in the types of version 2 and whatever the other side has.
var (
	Now   = now2
	Ticks = ticks2
)
