// SPDX-License-Identifier: Apache-2.0

// Package durable keeps a stream open: when one ends it opens another, and says
// so. [State] follows a state RPC and [Pipe] a pipe RPC, through any Func: a
// plain one, a versioned one, one over a broker or one of a test. [StateOrFail]
// and [PipeOrFail] are for who needs the first attempt to succeed. A [Replica]
// holds the current state, for who does not want the events. A [Value] is for
// what is no stream: it is made again when it is used after it broke.
//
//	for ev := range durable.State(ctx, prices, "AAPL", durable.Policy{}) {
//		switch ev.Kind {
//		case durable.Snapshot:
//			book = ev.State
//		case durable.Update:
//			book.Apply(ev.Update)
//		case durable.Lost:
//			book.Stale = true
//		}
//	}
//
// # Promises
//
// Order. Events come in the order of this table and no other:
//
//	at first            Attempting
//	Attempting          Connected, FailedToConnect, Rejected, or Resumed (see [Policy.Resume])
//	Connected           Snapshot (of a State), at once
//	Snapshot, Update    Update or Lost (of a Pipe, Connected too)
//	Resumed             Update or Lost
//	Lost                Attempting
//	FailedToConnect     Attempting
//	Rejected            Attempting
//
// Updates have the order of their stream. The updates to a State between one
// Snapshot and the next Lost are all there were, except those whose Err is set:
// these could not be converted. Who cannot do without them wraps the Func in
// staterpc.Strict. After Connected the Snapshot stands for what was missed; after
// Resumed nothing was missed. A Pipe has no Snapshot: its updates between Lost
// and Connected are missing.
//
// Every attempt is an event. Failures are logged besides, equal ones once until
// a stream has lasted a second.
//
// Ends. The events go on until ctx is done, the loop breaks or [Policy.Final]
// says so after an error. No event follows the end of ctx, not even Lost. Each
// loop over the events follows anew, from nothing.
//
// Blocking. Everything happens in the loop's own goroutine: while the body of
// the loop runs no update is read, and the stream's back-pressure reaches the
// server. Between attempts the loop waits as [Policy.Wait] says. Nothing is left
// behind when the loop ends: the stream is closed and the context of its handler
// is done.
//
// Ownership. State, Update, Err and Info of an event are the consumer's to keep,
// as the Func gave them. Update may be shared with other readers of this process
// (see bus.Handler.Shared), and so is not the consumer's to change.
//
// Load. All the streams of this process together have at most 64 openings under
// way, those that take a stream up again included. An opening is under way until
// its Func returns, and counts for 10 s at most. What has to wait for the same
// thing goes on at random times; see [Policy].
package durable
