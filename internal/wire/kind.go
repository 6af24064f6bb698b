// SPDX-License-Identifier: Apache-2.0

package wire

import "strconv"

// A Kind says what a frame is: the number of its field in Frame. The zero Kind
// is no frame.
type Kind uint8

// The kinds of frames.
const (
	KindOpen   Kind = 1
	KindAccept Kind = 2
	KindFirst  Kind = 3
	KindData   Kind = 4
	KindChunk  Kind = 5
	KindFault  Kind = 6
	KindEnd    Kind = 7
	KindCredit Kind = 8
	KindCancel Kind = 9
	KindBeat   Kind = 10
	KindReset  Kind = 11
	KindAsk    Kind = 12
	KindServed Kind = 13
	KindJoin   Kind = 14
	KindFeed   Kind = 15
)

var kindNames = [...]string{
	"none", "open", "accept", "first", "data", "chunk", "fault", "end",
	"credit", "cancel", "beat", "reset", "ask", "served", "join", "feed",
}

// String returns the name of k's field in Frame.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}
