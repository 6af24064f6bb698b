// SPDX-License-Identifier: Apache-2.0

package piperpc

import (
	"context"

	"github.com/durabus/durabus/internal/streamrpc"
)

// A Writer is the sending end of a stream whose updates are pushed.
type Writer[U any] = streamrpc.Writer[U]

// Push returns a Func whose updates are what f sends to its Writer, then and
// later. If f returns an error the caller gets it and no update; else the
// updates sent before f returned come first, and the stream is open until the
// Writer is closed or ctx is done. At most backlog updates, at least one, wait
// for the reader.
func Push[Q, U any](backlog int, f func(context.Context, Q, *Writer[U]) error) Func[Q, U] {
	if f == nil {
		return nil
	}
	return pipe(streamrpc.Push(backlog, func(ctx context.Context, q Q, w *Writer[U]) (none, error) {
		return none{}, f(ctx, q, w)
	}))
}
