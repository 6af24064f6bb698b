// SPDX-License-Identifier: Apache-2.0

// Package demo follows the process table of this machine through five acts:
// live updates, a broker that restarts, a responder that is killed, an upgrade
// and a drain. After each a separate process asks the responder for its
// checksum, which must be that of the replica.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/examples/procs"
	"github.com/nats-io/nats.go"
)

const (
	wholeTime  = 28 * time.Second // of all acts; the rest of 30 s is to clean up
	actTime    = 9 * time.Second
	leastCount = 20 // updates in each act, after what it did

	// A stream that was open for less is not taken for a lasting one, and opening
	// another would wait longer.
	leastTime = time.Second

	sampling     = 100 * time.Millisecond
	workerEvery  = 100 * time.Millisecond
	workerLife   = 250 * time.Millisecond
	brokerOutage = 300 * time.Millisecond
)

// Options say where a demo tells what happens.
type Options struct {
	Out      io.Writer // what happens, line by line
	Progress io.Writer // a terminal that shows what is waited for; nil if nobody looks
}

// Run plays the demo, for 30 seconds at most. It returns an error unless all
// acts matched. All processes that it started have ended when it returns.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wholeTime, fmt.Errorf("the demo took more than %v", wholeTime))
	defer cancel()
	s, err := open(ctx, newPrinter(o))
	if err != nil {
		return err
	}
	defer s.close()
	return s.play(ctx, s.acts())
}

// A stage is what the acts are played on.
type stage struct {
	*printer
	crew     *crew
	broker   *broker.Server
	nc       *nats.Conn
	client   *bus.Client
	follower *follower
	workers  *workers

	responders map[string]*member // by instance
	left       string             // the instance that the act took from the replica
}

// open starts a broker and what is on the stage in every act.
func open(ctx context.Context, p *printer) (_ *stage, err error) {
	s := &stage{printer: p, responders: map[string]*member{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.crew, err = newCrew(ctx); err != nil {
		return nil, err
	}
	if s.broker, err = broker.Start(broker.Options{}); err != nil {
		return nil, err
	}
	s.say("A NATS server runs in this process at %s.", s.broker.URL())
	if s.nc, err = bus.Connect(s.broker.URL()); err != nil {
		return nil, err
	}
	s.client = bus.NewClient(s.nc, bus.ClientOptions{})
	return s, nil
}

// close ends all that open and the acts started, in the order in which one
// thing uses another.
func (s *stage) close() {
	if s.follower != nil {
		s.follower.close()
	}
	if s.workers != nil {
		s.workers.close()
	}
	if s.client != nil {
		_ = s.client.Close()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	if s.crew != nil {
		s.crew.close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
}

// respond starts a responder that serves versions 1 to newest, and tells it to
// look at the machine often.
func (s *stage) respond(ctx context.Context, newest int) error {
	m, err := s.crew.start(partResponder, "-server", s.broker.URL(), "-newest", strconv.Itoa(newest))
	if err != nil {
		return err
	}
	instance, err := m.says(ctx)
	if err != nil {
		return fmt.Errorf("a responder did not start: %w", err)
	}
	s.responders[instance] = m
	serves := "version 1"
	if newest > 1 {
		serves = "versions 1 and 2"
	}
	s.say("Process %d is responder %s and serves %s.", m.pid(), instance, serves)
	interval := procs.Interval.Client(s.client.WithInstance(instance))
	return interval(ctx, procs.Sampling{Milliseconds: int(sampling.Milliseconds())})
}

// checksum has a process of its own ask the replica's responder for the digest
// at the replica's sequence number.
func (s *stage) checksum(ctx context.Context, r replica) (string, error) {
	m, err := s.crew.start(partCheck, "-server", s.broker.URL(), "-instance", r.info.Instance,
		"-version", strconv.Itoa(r.info.RPC.Version), "-seq", strconv.FormatUint(r.table.Seq, 10))
	if err != nil {
		return "", err
	}
	digest, err := m.says(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the checksum: %w", err)
	}
	return digest, m.wait(ctx)
}

// play plays acts until one fails, and prints the table of them.
func (s *stage) play(ctx context.Context, acts []act) error {
	results := make([]result, 0, len(acts))
	for i, a := range acts {
		r := s.playOne(ctx, i+1, a)
		results = append(results, r)
		if r.err != nil {
			break
		}
	}
	s.table(results)
	matched := 0
	for _, r := range results {
		if r.err == nil {
			matched++
		}
	}
	s.say("%d of %d acts match.", matched, len(acts))
	if matched < len(acts) {
		last := results[len(results)-1]
		return fmt.Errorf("act %d: %w", last.act, last.err)
	}
	return nil
}

var errDiffers = errors.New("the replica is not what the responder has")
