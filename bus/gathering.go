// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"sync"

	"github.com/durabus/durabus/internal/wire"
)

// batches are those of no stream: one that sends nothing holds none.
var batches = sync.Pool{New: func() any { return new(wire.Batch) }}

// gathering returns the batch in which updates gather. s.mu is held.
func (s *outStream) gathering() *wire.Batch {
	if s.batch == nil {
		s.batch = batches.Get().(*wire.Batch)
	}
	return s.batch
}

// gathered is how many updates are in the batch. s.mu is held.
func (s *outStream) gathered() int {
	if s.batch == nil {
		return 0
	}
	return s.batch.Count()
}

// gatheredSize is how many bytes they are. s.mu is held.
func (s *outStream) gatheredSize() int {
	if s.batch == nil {
		return 0
	}
	return s.batch.Size()
}
