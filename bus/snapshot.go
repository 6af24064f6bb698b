// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"time"

	"github.com/durabus/durabus/internal/flow"
)

// A Snapshot is what a [Client] or a [Server] has open now, and what has gone
// wrong since it was made. It has names, ids and numbers; nothing of what is
// sent. Its durations are nanoseconds in JSON.
type Snapshot struct {
	Side     string            `json:"side"` // "client" or "server"
	ID       string            `json:"id"`   // on the bus: a client's, or a server's instance
	Counters Counters          `json:"counters"`
	Dropped  map[string]uint64 `json:"dropped,omitempty"` // messages that made no sense, by reason
	Held     Held              `json:"held"`
	Streams  []StreamInfo      `json:"streams"` // in no order
}

// Held is what a [Client] or a [Server] keeps, beside its streams, for as long as
// there is a reason. Each has a bound, in docs/protocol.md («Limits»); all are 0
// when everybody has left, after a while.
type Held struct {
	Peers   int   `json:"peers"`   // instances that a client knows; callers that a server remembers
	Calls   int   `json:"calls"`   // of a client, that have not ended; of a server, that have not been answered
	Values  int64 `json:"values"`  // bytes reserved for values in pieces and, by a client, for windows of streams beyond the first
	Windows int64 `json:"windows"` // bytes that a client lets be on their way to it
	Feeds   int64 `json:"feeds"`   // bytes of shared streams that are kept for those who missed some or are behind
}

// A StreamInfo is one end of an open stream. What is not known is zero. Each was
// looked at for itself, so that two may differ by what happened in between.
type StreamInfo struct {
	Role     Role          `json:"role"`
	Name     string        `json:"name"` // of the RPC
	Version  int           `json:"version"`
	Kind     string        `json:"kind"`
	Peer     string        `json:"peer,omitempty"`    // the instance that sends, or the client that reads; of a server's feed nobody
	CallID   string        `json:"call_id,omitempty"` // as in the logs of both sides
	Feed     string        `json:"feed,omitempty"`    // which shared feed, of its instance
	Readers  int           `json:"readers,omitempty"` // of a feed: in this process, or clients
	Age      time.Duration `json:"age_ns"`            // since it was asked for; of a member it is not known
	Epoch    string        `json:"epoch,omitempty"`   // of the source, if that says where it stands
	Position uint64        `json:"position"`          // in that source: sent, or taken by the reader
	Frames   uint64        `json:"frames"`            // sent, or arrived
	Credit   Credit        `json:"credit"`            // of the stream; feeds have none
	Shared   Credit        `json:"shared_credit"`     // of all that the same instance sends to the same client
	Kept     int           `json:"kept,omitempty"`    // bytes of a server's feed that were sent, for members who missed them
	Queued   int           `json:"queued"`            // bytes that have not been sent, or not been taken by the reader
	Waits    Wait          `json:"waits,omitempty"`
	Heard    time.Duration `json:"heard_ns"` // since the peer was heard, to a quarter of a second; it says something every second
}

// Credit is how many bytes may be sent, and how many were, since the stream or
// the acquaintance of the two peers began.
type Credit struct {
	Granted uint64 `json:"granted"`
	Used    uint64 `json:"used"`
}

// A Role is what an entry of a [Snapshot] stands for.
type Role string

// The roles. A client receives, a server sends.
const (
	RoleStream Role = "stream" // one caller's own stream
	RoleFeed   Role = "feed"   // a shared stream: one for all its readers
	RoleReader Role = "reader" // of a client's feed
	RoleMember Role = "member" // a client that reads a server's feed
)

// A Wait is what a stream waits for now.
type Wait string

// What streams wait for. One that waits for none of it has sent, or has given to
// its reader, all there is.
const (
	WaitAnswer     Wait = "answer"        // a client's: nobody has opened it yet
	WaitReader     Wait = "reader"        // a client's: something arrived that the reader has not taken
	WaitMissing    Wait = "missing"       // a client's feed: updates that were asked for again
	WaitCredit     Wait = "credit"        // a server's: the reader has to take something first
	WaitShared     Wait = "shared credit" // a server's: so has one of all readers of that client
	WaitConnection Wait = "connection"    // to the broker; a client's, too, until the peer has said what it sent meanwhile
)

func infoOf(r Role, d Description, age time.Duration) StreamInfo {
	return StreamInfo{Role: r, Name: d.Name, Version: d.Version, Kind: d.Kind.String(), Age: age}
}

func allowed(a *flow.Allowance) Credit { return Credit{a.Limit(), a.Used()} }

func received(w *flow.Window) Credit { return Credit{w.Granted(), w.Granted() - w.Outstanding()} }
