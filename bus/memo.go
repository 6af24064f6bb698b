// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"sync"
	"sync/atomic"
)

// A memo holds what an element of a shared feed decodes to, for all who read it
// in this process.
type memo struct {
	done  atomic.Bool
	mu    sync.Mutex // held while the first one decodes
	value any
	err   error
}

// DecodeElement decodes data, the encoding of e, to *u. An element of a shared
// feed is decoded once, and all its readers get the same value: it must not be
// changed.
func (c *TypedCodec[T]) DecodeElement(u *T, e Element, data []byte) error {
	if e.memo == nil {
		return c.DecodeTo(u, data)
	}
	return c.recall(u, e.memo, data)
}

// recall is DecodeElement of what others read too.
func (c *TypedCodec[T]) recall(u *T, m *memo, data []byte) error {
	if !m.done.Load() {
		c.first(m, data)
	}
	v, ok := m.value.(T)
	if !ok { // of a definition with other types
		return c.DecodeTo(u, data)
	}
	*u = v
	return m.err
}

// first decodes what nobody has decoded yet. Where the codec panics the next reader
// tries for himself.
func (c *TypedCodec[T]) first(m *memo, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.done.Load() {
		m.value, m.err = c.Decode(data)
		m.done.Store(true)
	}
}
