// SPDX-License-Identifier: Apache-2.0

// Package live answers the procs protocol with the processes of the machine that
// it runs on.
package live

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/procs"
	"github.com/durabus/durabus/staterpc"
)

const (
	defaultInterval = time.Second
	minInterval     = 20 * time.Millisecond
	maxInterval     = time.Minute

	backlog = 256  // updates that a watcher may be behind
	digests = 1024 // sequence numbers whose digests are kept, at about 300 bytes each
)

// A Responder holds the table of this machine. Serve its Handlers, and call Run.
type Responder struct {
	sampler   *sampler
	last      []observation // the sample that current is of; of Run
	current   procs.Table   // of Run
	history   *history
	published *staterpc.Publisher[procs.Table, procs.Update]
	interval  chan time.Duration // to Run
}

// New returns a responder that has looked at the machine once.
func New(ctx context.Context) (*Responder, error) {
	r := &Responder{
		sampler:  newSampler(),
		history:  &history{limit: digests},
		interval: make(chan time.Duration),
	}
	if _, err := r.step(ctx); err != nil {
		return nil, err
	}
	r.published = staterpc.NewPublisher(r.current, procs.Table.Apply, backlog)
	return r, nil
}

// Handlers returns the handlers of the protocol in all its versions.
func (r *Responder) Handlers() []bus.Handler {
	return append(procs.Processes.Handlers(r.processes),
		procs.Checksum.Handler(r.checksum),
		procs.Interval.Handler(r.setInterval))
}

// Run looks at the machine once a second, or as often as procs.Interval asked
// for, and publishes what changed, until ctx is done. Only one Run may be under
// way. It returns an error if the machine does not tell what runs on it.
func (r *Responder) Run(ctx context.Context) error {
	ticker := time.NewTicker(defaultInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-r.interval:
			ticker.Reset(d)
		case <-ticker.C:
			u, err := r.step(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			if u.Len() > 0 {
				r.published.Publish(u)
			}
		}
	}
}

// step takes a sample and moves the current table to it, by an update that may
// be empty. The digest is kept before anyone can hear of the sequence number.
func (r *Responder) step(ctx context.Context) (procs.Update, error) {
	sample, err := r.sampler.sample(ctx)
	if err != nil {
		return procs.Update{}, err
	}
	u := diff(r.last, sample)
	r.last = sample
	if u.Len() > 0 {
		u.Seq = r.current.Seq + 1
		r.current = r.current.Apply(u)
		r.history.add(r.current)
	}
	return u, nil
}

func (r *Responder) processes(ctx context.Context, _ procs.Query) (procs.Table, iter.Seq2[procs.Update, error], error) {
	return r.published.Watch(ctx)
}

func (r *Responder) checksum(_ context.Context, m procs.Moment) (string, error) {
	return r.history.digest(m)
}

// setInterval waits until Run has heard it, which is at most for one sample.
func (r *Responder) setInterval(ctx context.Context, s procs.Sampling) error {
	d := time.Duration(s.Milliseconds) * time.Millisecond
	if d < minInterval || d > maxInterval {
		return fmt.Errorf("an interval of %v, allowed are %v to %v", d, minInterval, maxInterval)
	}
	select {
	case r.interval <- d:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
