// SPDX-License-Identifier: Apache-2.0

package bus

import "sync/atomic"

// A budget is bytes that many may reserve.
type budget struct {
	all  int64
	left *atomic.Int64
}

func newBudget(n int64) budget {
	b := budget{n, new(atomic.Int64)}
	b.left.Store(n)
	return b
}

// take reserves n bytes, or nothing if they are not there.
func (b budget) take(n uint64) bool {
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.left.Add(int64(n))
	return false
}

func (b budget) put(n uint64) { b.left.Add(int64(n)) }

// taken is how much is reserved.
func (b budget) taken() int64 { return b.all - b.left.Load() }
