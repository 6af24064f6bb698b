// SPDX-License-Identifier: Apache-2.0

package piperpc

import "github.com/durabus/durabus/internal/streamrpc"

// Conflate returns f with updates for readers that may be slow: those that come
// while the loop's body runs are merged into one. See staterpc.Conflate, which says
// what merge may do.
func Conflate[Q, U any](f Func[Q, U], merge func(older, newer U) U) Func[Q, U] {
	return pipe(streamrpc.Conflate(f.stream(), merge))
}
