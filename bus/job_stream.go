// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"iter"
	"math/rand/v2"
	"time"
)

// How a job goes on whose handler has returned a stream.

// stream sends the state and has the updates of an accepted call sent. They get
// a goroutine of their own: that of the handler has a stack as large as the
// handler needed once, and a stream that idles would keep it.
func (j *job) stream(r Reply) {
	j.point.counters.Opened()
	err := j.out.begin(r)
	updates := r.Updates
	if err != nil || updates == nil {
		updates = func(yield func(Element, error) bool) {
			if err != nil {
				yield(Element{}, err)
			}
		}
	}
	stop := func() bool { return true }
	if age := j.srv.svc.MaxStreamAge; age > 0 {
		stop = time.AfterFunc(age-rand.N(age/4+1), j.leave).Stop
	}
	// What an iterator asks of its context is made here, where the stack is large.
	j.ctx.Done()
	j.request = nil
	j.srv.loops.Add(1)
	go func() { // and not loops.Go, for a frame less on the stack
		defer j.srv.loops.Done()
		defer j.closed(stop)
		j.ended(j.updates(updates))
	}()
}

// closed is over, of a stream whose timer stop stops.
func (j *job) closed(stop func() bool) {
	stop()
	j.point.counters.Closed()
	j.over()
}

// ended sends the end and waits until it has left.
func (j *job) ended(err error) {
	if err != nil {
		err = j.srv.mux.said(err, j.point.Description, j.callID())
	}
	j.out.end(err)
	j.out.left()
}

func (j *job) updates(updates iter.Seq2[Element, error]) (err error) {
	defer j.out.caught(&err)
	located := j.ctx.source != nil // else nobody asks where the stream stands
	for e, err := range updates {
		switch {
		case located:
			err = j.locatedUpdate(e, err)
		case err == nil:
			err = j.out.push(&j.ctx, e)
		default:
			err = j.odd(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// locatedUpdate sends what came of a source that says where it stands, and tells
// that source meanwhile.
func (j *job) locatedUpdate(e Element, err error) error {
	if err != nil && !IsElement(err) {
		return j.odd(err)
	}
	j.ctx.source.took()
	defer j.ctx.source.done(false)
	if err == nil {
		return j.out.push(&j.ctx, e)
	}
	return j.odd(err)
}

// odd sends what came in the place of an update, and returns the end.
func (j *job) odd(err error) error {
	switch {
	case IsElement(err):
		return j.out.fault(&j.ctx, err)
	case EndsStream(err):
		return err
	}
	return nil // a Break of a stream that is passed on: nothing is missing
}
