// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/rand/v2"
	"time"
)

// A dice is chance that depends on the seed and on what it decides alone.
type dice uint64

// of returns the dice of something that has a name.
func (d dice) of(name string) dice {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return dice(mixed(uint64(d) ^ h))
}

// nth returns the dice of one of many.
func (d dice) nth(n uint64) dice { return dice(mixed(uint64(d) + n*0x9e3779b97f4a7c15)) }

// rand returns a sequence of throws.
func (d dice) rand() *rand.Rand { return rand.New(rand.NewPCG(uint64(d), 1)) }

// below is a number from 0 to n-1.
func (d dice) below(n uint64) uint64 { return mixed(uint64(d)^0x5851f42d4c957f2d) % n }

// mixed is the finalizer of splitmix64.
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// between returns a duration of at least low and less than high.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// onceIn reports true that often.
func onceIn(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }
