// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus"
)

// A Server is a broker that is not simulated; a broker.Server in the process is
// nearly one.
type Server interface {
	Dial() (net.Conn, error)
	Kill()
	Restart() error
	Close()

	// SlowConsumers counts the connections that were cut since the start because
	// too much was held for them.
	SlowConsumers() int
}

// RunOn is RunAlone with a broker that start starts, and with nats.go. The broker
// is to hold no more than pending bytes for each connection, 0 is its default.
func RunOn(seed uint64, start func(pending int) Server) Result {
	return schedule(seed, 1, func(w *world, short bool) brokers {
		n := &real{lines: newNetwork(w.dice, 0, w.delay, w.trace), trace: w.trace, short: short}
		pending := 0
		if short {
			pending = pendingShort
		}
		if w.mayRestart() {
			w.restart = n.restart
			pending /= 4
		}
		n.server = start(pending)
		return n
	})
}

// pendingShort is as little as a broker may hold when something is said of those
// that nothing happens to: it cannot hold more for these than for the others, and
// they send and receive several messages of 256 KiB, the most that are sent, at a
// time.
const pendingShort = 5 << 18

// How many bytes are on their way to a process, or wait there to be read, before
// the broker has to keep the rest: what the buffers of TCP take.
const (
	roomMost  = 4 << 20
	roomLeast = 64 << 10
)

// A real is one broker that is not simulated, and the connections to it: what is
// between it and its clients is simulated still.
type real struct {
	lines  *network // without brokers
	trace  *trace
	server Server
	short  bool
	moving sync.WaitGroup // the goroutines of sockets

	// The lock of the lines guards these.
	processes []*process
	down      bool
	said      tally
}

// dial implements [brokers].
func (n *real) dial(name string, _ int, d delays) link {
	p := &process{net: n, name: name, safe: d.safe, up: n.lines.line(name+" up", d), down: n.lines.line(name+" down", d)}
	nc, err := bus.Connect("nats://broker", nats.InProcessServer(p),
		nats.ReconnectHandler(func(*nats.Conn) { n.trace.note(name, "reconnected") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { n.trace.note(name, "disconnected", fmt.Sprint(err)) }))
	if err != nil {
		panic(err) // of the options: that there is no broker is not an error
	}
	p.nc = nc
	n.lines.mu.Lock()
	defer n.lines.mu.Unlock()
	n.processes = append(n.processes, p)
	return p
}

// split and join implement [brokers]: one cannot be parted.
func (n *real) split(_, _ int) {}
func (n *real) join(_, _ int)  {}

// settle implements [brokers]. The broker's memory stays as it is, and what is on
// its way to a process need not wait there.
func (n *real) settle() {
	n.lines.mu.Lock()
	defer n.lines.mu.Unlock()
	n.lines.calm = true
}

// room returns how many bytes are on their way to the process, at most.
func (p *process) room() int {
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	if p.net.short && !p.safe && !p.net.lines.calm {
		return roomLeast
	}
	return roomMost
}

// restart kills the broker, and starts it again after a while, unless it is being
// restarted. All who may connect have when it returns.
func (n *real) restart(lasts time.Duration) error {
	n.lines.mu.Lock()
	down := n.down
	n.down = true
	n.lines.mu.Unlock()
	if down {
		return nil
	}
	n.trace.note("broker", "down")
	slow := n.server.SlowConsumers()
	n.server.Kill()
	wait(context.Background(), lasts)
	n.trace.note("broker", "up")
	err := n.server.Restart()
	n.lines.mu.Lock()
	n.down = false
	n.said.slow += slow
	processes := n.processes
	n.lines.mu.Unlock()
	for _, p := range processes {
		p.awaited()
	}
	return err
}

// close implements [brokers].
func (n *real) close() tally {
	n.moving.Wait()
	n.said.slow += n.server.SlowConsumers()
	n.server.Close()
	return n.said
}

// A process is a link to a real broker, and what its nats.Conn dials.
type process struct {
	net      *real
	name     string
	nc       *nats.Conn
	up, down *line
	safe     bool

	// The lock of the lines guards these.
	socket     *socket   // nil while there is no connection
	old        []*socket // closed by the process; the broker may still read
	away, dead bool
	disturbed  time.Time // until when something happens to the process
}

// lose forgets what is on its way.
func (p *process) lose() {
	p.up.lose()
	p.down.lose()
	for _, s := range p.old {
		s.out.drop(errReset)
	}
	p.old = nil
}

var errRefused = errors.New("connection refused")

// InProcessConn implements nats.InProcessConnProvider.
func (p *process) InProcessConn() (net.Conn, error) {
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	if p.away || p.dead || p.net.down {
		return nil, errRefused
	}
	conn, err := p.net.server.Dial()
	if err != nil {
		return nil, err
	}
	p.up.renew()
	p.down.renew()
	p.disturbed = later(p.disturbed, time.Now())
	p.socket = newSocket(p, conn)
	return p.socket, nil
}

// bus implements [link].
func (p *process) bus() *nats.Conn { return p.nc }

// sever implements [link].
func (p *process) sever(flushed bool) {
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	if p.dead || p.away {
		return
	}
	p.net.trace.note(p.name, "cut", fmt.Sprint("flushed ", flushed))
	p.away = true
	p.disturbed = later(p.disturbed, time.Now())
	if p.socket != nil {
		p.socket.cut(flushed, errReset)
	}
}

// back implements [link]. It returns when nats.go has made the connection again.
func (p *process) back(int) {
	p.net.lines.mu.Lock()
	p.away = false
	p.net.lines.mu.Unlock()
	p.awaited()
}

// awaited waits until the process is connected, if it can be.
func (p *process) awaited() {
	for !p.nc.IsConnected() {
		p.net.lines.mu.Lock()
		never := p.away || p.dead || p.net.down
		p.net.lines.mu.Unlock()
		if never {
			return
		}
		wait(context.Background(), time.Millisecond)
	}
}

// hang implements [link].
func (p *process) hang(up, down bool, until time.Time) {
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	p.net.trace.note(p.name, "hangs", fmt.Sprint("up ", up, " down ", down))
	p.disturbed = later(p.disturbed, until)
	if up {
		p.up.hangs = later(p.up.hangs, until)
	}
	if down {
		p.down.hangs = later(p.down.hangs, until)
	}
}

// kill implements [link].
func (p *process) kill() {
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	if p.dead {
		return
	}
	p.net.trace.note(p.name, "killed")
	p.dead = true
	if p.socket == nil {
		p.lose() // what it sent before an earlier cut
		return
	}
	p.socket.silence()
}

// isDead implements [link].
func (p *process) isDead() bool {
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	return p.dead
}

// leave implements [link].
func (p *process) leave() {
	open, messages := p.nc.NumSubscriptions(), int(p.nc.Stats().OutMsgs)
	p.nc.Close()
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	p.net.trace.note(p.name, "leaves")
	p.dead = true
	p.net.said.open += open
	p.net.said.messages += messages
}

// calm implements [link].
func (p *process) calm() time.Time {
	connected := p.nc.IsConnected() // which must not be asked with the lines locked
	p.net.lines.mu.Lock()
	defer p.net.lines.mu.Unlock()
	if !connected {
		return time.Now()
	}
	return p.disturbed
}

// wait implements [link].
func (p *process) wait(ctx context.Context, d time.Duration) bool { return wait(ctx, d) }

// simulated implements [link].
func (p *process) simulated() *conn { return nil }
