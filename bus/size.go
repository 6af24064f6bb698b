// SPDX-License-Identifier: Apache-2.0

package bus

// The sizes of frames.
const (
	frameLimit = 256 << 10 // bytes of one message at most, whatever the broker takes
	envelope   = 512       // of these for what surrounds a payload
	chunkSize  = 128 << 10 // of what one frame carries; half the smallest window
	pieceSize  = 31 << 10  // of a piece of a long value, whose message has less than 32 KiB
	maxText    = 4 << 10   // of an error's message; the rest is cut
	maxDetail  = 8 << 10   // of an application error's encoding; more is refused
	batchSize  = 16 << 10  // updates leave at the latest when so many bytes of them wait
)

// maxFrame is the largest message now.
func maxFrame(maxPayload int) int { return min(maxPayload, frameLimit) }

// payloadRoom is how much of the largest message a payload may take.
func payloadRoom(maxPayload int) int { return maxFrame(maxPayload) - envelope }

// metadataRoom is how much of a message md takes at most.
func metadataRoom(md Metadata) int {
	n := 0
	for k, v := range md {
		n += len(k) + len(v) + 16 // of tags and lengths
	}
	return n
}
