// SPDX-License-Identifier: Apache-2.0

package sim

import (
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

	// close ends the brokers once all processes have left, and returns how many
	// subscriptions these left open, how many messages there were, and how many
	// connections a broker cut because it held too much for them.
	close() (open, messages, slow int)
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
}
