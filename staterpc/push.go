// SPDX-License-Identifier: Apache-2.0

package staterpc

import (
	"context"

	"github.com/durabus/durabus/internal/streamrpc"
)

// A Writer is the sending end of a stream whose updates are pushed.
type Writer[U any] = streamrpc.Writer[U]

// Push returns a Func whose state is what f returns and whose updates are what f
// sends to its Writer, then and later; see piperpc.Push.
func Push[Q, S, U any](backlog int, f func(context.Context, Q, *Writer[U]) (S, error)) Func[Q, S, U] {
	return Func[Q, S, U](streamrpc.Push(backlog, f))
}
