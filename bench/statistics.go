// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"math"
	"slices"
)

// A summary is of the figures of all rounds.
type summary struct {
	median, min, max float64
	low, high        float64 // 95% interval of the median
	n                int
}

// summarize assumes nothing about how figures are spread: the interval of the
// median is between two of them, as many from the ends as the binomial
// distribution allows. Fewer than 6 figures have none; it is their range then.
func summarize(figures []float64) summary {
	s := summary{n: len(figures)}
	if s.n == 0 {
		return s
	}
	sorted := slices.Sorted(slices.Values(figures))
	s.min, s.max = sorted[0], sorted[s.n-1]
	s.median = (sorted[(s.n-1)/2] + sorted[s.n/2]) / 2
	skip := outside(s.n)
	s.low, s.high = sorted[skip], sorted[s.n-1-skip]
	return s
}

// fewest is how many figures an interval of 95% needs.
const fewest = 6

// outside is how many of n figures may lie below the interval, and as many above,
// so that it has the median in at least 95% of all cases.
func outside(n int) int {
	below := math.Pow(0.5, float64(n)) // chance that no figure is below the median
	term, skip := below, 0
	for i := 1; i < n/2; i++ {
		term *= float64(n-i+1) / float64(i)
		below += term // that at most i are
		if 2*below > 0.05 {
			break
		}
		skip = i
	}
	return skip
}

// ratios divides what is of the same round.
func ratios(of, to map[int]float64) (all []float64) {
	for _, round := range slices.Sorted(maps.Keys(of)) {
		if d, ok := to[round]; ok && d != 0 {
			all = append(all, of[round]/d)
		}
	}
	return all
}
