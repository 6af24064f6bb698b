// SPDX-License-Identifier: Apache-2.0

package staterpc

import "github.com/durabus/durabus/internal/streamrpc"

// Conflate returns f with updates for readers that may be slow: those that come
// before the loop asks for the next, while its body runs, are merged into one. So a
// reader is never behind by more than that one, is never [bus.Lost] for being slow,
// and never stops whoever sends; what came alone is as it came. It works on
// whatever f is: of a client or a family, converted, shared or not, and below
// package durable. A nil f or merge gives a nil Func.
//
// Merge returns what has the effect of older and then newer. It must not change
// either: the updates of a shared feed belong to all who read them. The exception
// is a value that merge itself has made. Nobody else has that when it comes back
// as older, so that merge may change it, if it can tell, and return it.
//
// Order is kept. An error cannot be merged, whichever it is: it comes behind the
// updates before it, and while it waits for the loop nothing more is taken of the
// stream, as without Conflate. Of an [bus.ElementError] no merge can know; behind
// [Strict] there is none.
//
// A goroutine takes the updates and merges them. It is there while the loop is,
// which ends the context that f was called with and waits for the goroutine
// whichever way it is left; who writes f himself lets it end with its context. Of
// updates that f reuses for the next nothing would be left: it must not do so
// ([bus.Reusing] is taken care of). A panic of merge, or of a conversion in f, is
// the panic of the loop; its trace is logged. [bus.Info.Reached] is how far the
// loop has come, and exact when it has taken all.
//
// Around the Func of a handler it spares the network as well, for readers with
// streams of their own: those can then not be shared, nor taken up where they were.
func Conflate[Q, S, U any](f Func[Q, S, U], merge func(older, newer U) U) Func[Q, S, U] {
	return Func[Q, S, U](streamrpc.Conflate(streamrpc.Func[Q, S, U](f), merge))
}
