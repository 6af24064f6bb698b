// SPDX-License-Identifier: Apache-2.0

// Package transport is what the engine needs of a message bus, on NATS ([NATS])
// and simulated in one process ([Net]).
//
// A bus delivers at most once, and in order from one connection's publishing to
// one subscription. Publishing never waits for a receiver.
package transport

import (
	"context"
	"errors"
)

// ErrNotConnected is the error of publishing while there is no connection.
// Nothing was sent, and nothing will be.
var ErrNotConnected = errors.New("not connected to the broker")

// ErrBlocked is the error of publishing a long message while the connection is
// blocked ([Conn]). Nothing was sent; try again when it is not.
var ErrBlocked = errors.New("the broker takes nothing now")

// A Msg is one message. Its Data belongs to the receiver.
type Msg struct {
	Subject, Reply string
	Header         map[string][]string
	Data           []byte

	// NoResponders marks the broker's word that a message which we published with
	// Subject as its reply found no subscriber.
	NoResponders bool
}

// A Conn is a connection to a bus.
type Conn interface {
	// Publish sends data, which it does not keep, and does not wait. A nil error
	// means only that it was handed to the connection.
	Publish(subject, reply string, data []byte) error

	// PublishMsg is Publish with a header.
	PublishMsg(m Msg) error

	// Blocked returns nil if a message of size bytes should be published, as nearly
	// always. Else the broker does not take what was published before, and the
	// channel is closed when it has, or when the connection is over; the publisher
	// asks again then. What is short may be published sooner.
	Blocked(size int) <-chan struct{}

	// Subscribe calls f for each message, one at a time. Subscribers that share a
	// non-empty queue name split the messages.
	Subscribe(subject, queue string, f func(Msg)) (Subscription, error)

	// NewInbox returns a fresh subject for replies, to which tokens may be added.
	NewInbox() string

	// Flush returns once the broker has seen all that was sent before.
	Flush(ctx context.Context) error

	// MaxPayload is the largest message, header included, that may be sent now.
	MaxPayload() int

	Connected() bool

	// Generation counts the times that the connection was made again, for those
	// who must not depend on hearing of each event.
	Generation() uint64

	// Notify calls f for each event from now until stop is called. f must not wait.
	Notify(f func(Event)) (stop func())

	// LastRefusal returns the subject of the subscription or publication that the
	// broker refused last, and the error that said so: another error value each
	// time. It is up to date after a Flush.
	LastRefusal() (subject string, err error)
}

// A Subscription is ended once, either way.
type Subscription interface {
	// Unsubscribe ends it at once. f may still be running when it returns.
	Unsubscribe() error

	// Drain ends it after the messages that were on their way, and returns when f
	// has returned from the last of them or ctx is done.
	Drain(ctx context.Context) error
}

// An EventKind says what happened to a connection.
type EventKind uint8

// The kinds of events.
const (
	Disconnected EventKind = iota + 1
	Reconnected
	Closed  // for good
	Denied  // the broker refused to take a message for Subject
	Dropped // messages for a subscription on Subject were dropped on our side: a defect
)

// An Event is something that happened to a connection.
type Event struct {
	Kind    EventKind
	Subject string
	Err     error
}
