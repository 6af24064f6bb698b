// SPDX-License-Identifier: Apache-2.0

package bus

// The sizes of frames.
const (
	frameLimit = 256 << 10 // bytes of one message at most, whatever the broker takes
	envelope   = 512       // of these for what surrounds a payload
	chunkSize  = 128 << 10 // of a piece of a long value; half the smallest window
	batchSize  = 16 << 10  // updates leave at the latest when so many bytes of them wait
)

// maxFrame is the largest message now.
func maxFrame(maxPayload int) int { return min(maxPayload, frameLimit) }
