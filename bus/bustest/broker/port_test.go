// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
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

func TestABrokerWaitsForItsOwnPortToBeVacant(t *testing.T) {
	t.Parallel()
	left := &leftover{}
	srv := Run(t, Options{Log: slog.New(left)})
	srv.Kill()
	l, err := listen(srv.port.number)
	if err != nil {
		t.Fatal(err)
	}
	left.l.Store(&l)
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	if left.l.Load() != nil {
		t.Fatal("it started beside another listener")
	}
}

// A leftover has a port until a broker has complained of it.
type leftover struct {
	slog.Handler
	l atomic.Pointer[net.Listener]
}

func (h *leftover) Enabled(context.Context, slog.Level) bool { return true }

func (h *leftover) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "address already in use") {
		if l := h.l.Swap(nil); l != nil {
			return (*l).Close()
		}
	}
	return nil
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
