// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"net"
	"testing"
	"time"
)

func TestAPortIsTakenOnceUntilItIsReleased(t *testing.T) {
	t.Parallel()
	taken := map[int]bool{}
	for range 200 {
		p, err := takePort()
		if err != nil {
			t.Fatal(err)
		}
		defer p.release()
		if taken[p.number] {
			t.Fatalf("port %d was taken twice", p.number)
		}
		taken[p.number] = true
	}
}

func TestTheOwnerOfAPortKeepsItWhileItsBrokerIsDown(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	srv.Kill()
	if l, err := listen(srv.port.number + ports); err == nil {
		_ = l.Close()
		t.Fatal("another process could take the port")
	}
	srv.Close()
	if !srv.port.released() {
		t.Fatal("the port was not released")
	}
}

func TestACloseReleasesThePortsOfAllNodes(t *testing.T) {
	t.Parallel()
	c := RunCluster(t, Options{})
	c.Close()
	for _, s := range c.nodes {
		if !s.port.released() || !s.node.port.released() {
			t.Fatalf("%s keeps a port", s.node.name)
		}
	}
}

func (p port) released() bool {
	err := p.owner.(*net.TCPListener).SetDeadline(time.Now())
	return errors.Is(err, net.ErrClosed)
}
