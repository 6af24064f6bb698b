// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports come from below those that systems give to outgoing connections, one of
// which could otherwise take a broker's port while it is down: even the client's
// own attempt to connect again.
const (
	firstPort = 10_000
	ports     = 11_000
)

// A port belongs to one broker of the machine, also while it is down: whoever
// listens on the port that lies a fixed distance above is the owner.
type port struct {
	number int
	owner  net.Listener // nil where the user chose the number
}

// takePort finds a port on which nobody listens and takes it.
func takePort() (port, error) {
	var last error
	for range 1000 {
		p := port{number: firstPort + rand.IntN(ports)}
		if p.owner, last = listen(p.number + ports); last != nil {
			continue
		}
		var l net.Listener
		if l, last = listen(p.number); last == nil {
			_ = l.Close()
			return p, nil
		}
		p.release()
	}
	return port{}, fmt.Errorf("broker: no free port from %d to %d: %w", firstPort, firstPort+ports-1, last)
}

func (p port) release() {
	if p.owner != nil {
		_ = p.owner.Close() // it never accepted, so nothing can be left
	}
}

func (p port) address() string { return net.JoinHostPort(host, strconv.Itoa(p.number)) }

func listen(number int) (net.Listener, error) {
	return net.Listen("tcp", port{number: number}.address())
}
