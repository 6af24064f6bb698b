// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// A brokers is what a schedule's processes are connected by: [network], which is
// simulated, or [real].
type brokers interface {
	// dial connects a process to a broker.
	dial(name string, node int, d delays) link

	// split separates two brokers until join: what is on its way between them is
	// lost, and nobody is told.
	split(a, b int)
	join(a, b int)

	// settle ends what makes messages late, and a broker short of memory.
	settle()

	// close ends the brokers once all processes have left.
	close() tally
}

// A tally is what brokers can say in the end.
type tally struct {
	open     int // subscriptions that processes left behind
	messages int
	slow     int // connections that a broker cut because it held too much for them
	aged     int // requests that were too old when they came, if that is seen
	blocked  int // times that somebody waited for his socket, if that is seen
}

// A link is a process's connection to one of the brokers.
type link interface {
	// bus is what the process makes its clients and servers on.
	bus() *nats.Conn

	// sever ends the connection; what the process has sent may still arrive, if
	// flushed. It is made again after back, which may wait for it.
	sever(flushed bool)
	back(node int)

	// hang holds up what is sent in one direction or both until a moment.
	hang(up, down bool, until time.Time)

	// kill ends the process's part in the network without its knowledge.
	kill()
	isDead() bool

	// leave is the end of the process, killed or not.
	leave()

	// calm returns the moment since which nothing has happened to the process; now,
	// if something does.
	calm() time.Time

	// wait waits as the process does, unless ctx is done first.
	wait(ctx context.Context, d time.Duration) bool

	// simulated is for what cannot be done with a real broker: to stop a process, to
	// move its clock, to have it vanish; and to see what reaches it, and when nothing
	// has happened between two processes. It is nil there, and where another is to be
	// like it.
	simulated() *conn
}
