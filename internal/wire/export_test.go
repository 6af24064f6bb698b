// SPDX-License-Identifier: Apache-2.0

package wire

// Cap is the size of b's buffer.
func (b *Batch) Cap() int { return cap(b.buf) }

// Keeps reports whether Reset would give b's buffer to others.
func (b *Batch) Keeps() bool { return b.keeps() }
