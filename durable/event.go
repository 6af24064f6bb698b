// SPDX-License-Identifier: Apache-2.0

package durable

import (
	"errors"

	"github.com/durabus/durabus/bus"
)

// A Kind says what happened to a durable stream.
type Kind uint8

// The kinds of [Event]. The package comment says in which order they come.
const (
	Attempting      Kind = iota + 1 // a stream is being opened
	Connected                       // it is open; Info says by whom. Of a State, the Snapshot follows at once
	Snapshot                        // State holds the state
	Update                          // Update holds an update, or Err why it could not be converted
	Lost                            // the stream ended; Err says why
	FailedToConnect                 // no stream could be opened; Err says why
	Rejected                        // the application refused the query; Err holds its typed error
	Resumed                         // after Lost: open again by Info, nothing missed; no Snapshot, Updates follow
)

var kindNames = [...]string{"unknown", "Attempting", "Connected", "Snapshot", "Update", "Lost", "FailedToConnect", "Rejected", "Resumed"}

func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		k = 0
	}
	return kindNames[k]
}

// An Event is one thing that happened to a durable stream. What its Kind does
// not speak of is zero.
type Event[S, U any] struct {
	Kind   Kind
	State  S         // of Snapshot
	Update U         // of Update, unless Err is set
	Err    error     // of Lost, FailedToConnect, Rejected; of an Update that is missing
	Info   *bus.Info // of Connected and Resumed
}

// ErrEnded is the Err of Lost when the server ended the stream in order.
var ErrEnded = errors.New("durable: the server ended the stream")
