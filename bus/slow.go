// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/durabus/durabus/internal/flow"
	"github.com/durabus/durabus/internal/wire"
)

// What an outStream does with updates that do not simply gather in its batch.

// pushSlowly sends the newest update of b, which does not fit. It is called with
// s.mu held and lets go of it.
func (s *outStream) pushSlowly(ctx context.Context, b *wire.Batch) error {
	switch size := b.Size(); {
	case b.LastSize() > min(chunkSize, s.room):
		data := b.TakeLast()
		s.mu.Unlock()
		return s.pushLong(ctx, data)
	case size > s.room || !s.send.Credit.Fits(flow.Cost(size)):
		if b.Count() == 1 {
			s.mu.Unlock()
			return s.awaitCredit(ctx)
		}
		w := s.awaited()
		data := b.CutLast(w.spare[:0])
		w.spare = data
		s.mu.Unlock()
		if err := s.pushLater(ctx, data); err != nil {
			return err
		}
		s.mu.Lock()
	}
	size := s.gatheredSize()
	s.mu.Unlock()
	if size < batchSize {
		s.soon()
		return nil
	}
	return s.full(ctx)
}

// awaitCredit waits until the batch, which is one update, has left. It stays
// where it was encoded: an update may be large.
func (s *outStream) awaitCredit(ctx context.Context) error {
	s.soon()
	err := s.wait(ctx, func() bool { return s.gathered() == 0 })
	if err != nil { // the end may go without credit
		s.mu.Lock()
		s.gathering().Reset()
		s.mu.Unlock()
	}
	return err
}

// full publishes a batch that is large enough, on the handler's goroutine, and
// waits until another may gather.
func (s *outStream) full(ctx context.Context) error {
	s.flush()
	if ctx.Err() != nil { // push may not have come to ask while the outbox was behind
		return contextError(ctx, s.job.point.Description)
	}
	return s.wait(ctx, func() bool { return s.gatheredSize() < batchSize })
}
