// SPDX-License-Identifier: Apache-2.0

// Package bus carries typed calls over NATS.
//
// A definition (unaryrpc.RPC, onewayrpc.RPC, piperpc.RPC, staterpc.RPC or a
// versioned.Family of them) turns a [Caller] into a typed Func, and a typed Func
// into a [Handler]. Everything else in the module wraps one of those.
//
// # Options
//
// One rule: what belongs to the RPC is a field of its definition, what belongs
// to a process is a field of [Service] or [ClientOptions], what belongs to where
// a call goes is a Client made with Client.With…, and what belongs to one call
// travels in its context (deadline, [WithMetadata], [WithInfo]).
//
// # Promises
//
// Order. The updates of one stream arrive in the order in which the handler
// yielded them, without gap or repeat. Nothing is promised between two streams
// or calls: handlers run concurrently.
//
// Ends. A loop over updates that ends without an error saw everything, to the
// handler's own return. All else is an error: [Lost], [Gone], [Disconnected],
// [Draining], [Canceled], [Expired], the handler's own, never a short stream
// that looks whole.
//
// Blocking. A handler's yield waits until its reader has room, and nothing else
// on the connection waits with it. A stalled reader costs its window of memory,
// not more.
//
// Calls. A call is sent once. Where it was certainly not delivered (nobody
// subscribed, not connected, busy, draining) the error says so
// ([Error.MayHaveRun] is false) and a retry is safe. A handler never starts for
// a call whose deadline has passed.
//
// Ownership. What a Caller or a Handler is given is its own until it returns;
// [Element] says how long encoded updates stay valid. Client and Server own
// their goroutines and their subscriptions and wait for them in Close. The NATS
// connection stays the program's.
//
// Not promised: that a call which failed with MayHaveRun did or did not run;
// that one-way messages arrive; durability of anything beyond the life of both
// processes. Package durable opens a stream again and says what happened.
package bus
