// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/durabus/durabus/bus"
)

// A fault is something that goes wrong for a while.
type fault struct {
	kind string

	// strike has it go wrong and mends it. It says what it was.
	strike func(f *fleet, r *rand.Rand, hold time.Duration) (what string, err error)

	cheap    bool       // has its place in a short run
	harmless bool       // no call fails of it, and no stream is lost
	codes    []bus.Code // with which calls may fail; nil is all that faults may
}

// What a call may end with when something breaks, and what it must not.
var faulty = []bus.Code{
	bus.Disconnected, bus.Gone, bus.NoAnswer, bus.Expired, bus.NoResponder, bus.Draining,
	bus.Lost, // of a query in pieces
}

var faults = []fault{
	{kind: "broker: SIGKILL, started again", strike: killBroker, cheap: true},
	{kind: "broker: SIGSTOP, then SIGCONT", strike: stopBroker},
	{kind: "broker: lame duck, started again", strike: lameDuck},
	{kind: "responder: SIGKILL, started again", strike: killResponder, cheap: true},
	{kind: "responder: SIGSTOP, then SIGCONT", strike: stopResponder},
	{kind: "responder: replaced, drains", strike: rollResponder, cheap: true, harmless: true},
	{kind: "network: connections reset", strike: resetLink, cheap: true},
	{kind: "network: half open, bytes vanish", strike: partitionLink},
	{kind: "network: frozen", strike: freezeLink},
	{kind: "network: 50 ms more each way", strike: delayLink, harmless: true},
	{kind: "network: 256 KiB/s", strike: limitLink},
	{kind: "broker: a right taken away and given back", strike: refuse, codes: []bus.Code{bus.Denied}},
	{kind: "broker: max_payload lowered to 256 KiB", strike: lowerPayload, harmless: true},
	{kind: "broker: max_payload lowered to 16 KiB", strike: lowerPayloadMuch},
}

// holdFor waits out a fault.
func holdFor(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func killBroker(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	n := f.nodes[r.IntN(len(f.nodes))]
	n.process.kill()
	down := time.Duration(0)
	if r.IntN(2) == 0 {
		down = hold
		holdFor(down)
	}
	return fmt.Sprintf("%s, down for %v", n.name, down), n.start(f.undertaker)
}

func stopBroker(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	n := f.nodes[r.IntN(len(f.nodes))]
	return fmt.Sprintf("%s for %v", n.name, hold), stopped(n.process, hold)
}

// stopped has a process stand still.
func stopped(p *process, hold time.Duration) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	holdFor(hold)
	return p.signal(syscall.SIGCONT)
}

// lameDuck has a broker ask its clients to leave, close their connections one by
// one, and end.
func lameDuck(f *fleet, r *rand.Rand, _ time.Duration) (string, error) {
	n := f.nodes[r.IntN(len(f.nodes))]
	begin := time.Now()
	if err := n.process.signal(syscall.SIGUSR2); err != nil {
		return "", err
	}
	select {
	case <-n.process.ended:
	case <-time.After(patience):
		return "", fmt.Errorf("%s is a lame duck without end", n.name)
	}
	return fmt.Sprintf("%s, for %v", n.name, time.Since(begin).Round(time.Millisecond)), n.start(f.undertaker)
}

func killResponder(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	i := r.IntN(len(f.responders))
	f.responders[i].kill()
	down := time.Duration(0)
	if r.IntN(2) == 0 {
		down = hold
		holdFor(down)
	}
	return fmt.Sprintf("responder %d, down for %v", i, down), f.serve(f.responders[i])
}

func stopResponder(f *fleet, r *rand.Rand, hold time.Duration) (string, error) {
	i := r.IntN(len(f.responders))
	return fmt.Sprintf("responder %d for %v", i, hold), stopped(f.responders[i].process, hold)
}

// rollResponder starts the responder's next process before the last one drains.
func rollResponder(f *fleet, r *rand.Rand, _ time.Duration) (string, error) {
	i := r.IntN(len(f.responders))
	old := f.responders[i].process
	if err := f.serve(f.responders[i]); err != nil {
		old.kill()
		return "", err
	}
	if err := old.signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	select {
	case <-old.ended:
	case <-time.After(patience):
		old.kill()
		return "", fmt.Errorf("responder %d does not drain", i)
	}
	_ = old.input.Close()
	return fmt.Sprintf("responder %d", i), nil
}
