// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"
	"sync"
	"time"
)

// Workers are goroutines that carry out jobs, used again and again. A job that
// waits in the queue always has a worker on its way to it: one is woken for the
// first job, and each that takes a job while more wait has the next one come. So
// few of them do a burst of short jobs, and a slow job delays no other.
type workers struct {
	all sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	queue  jobQueue
	coming int       // workers that run and will look into the queue
	idle   []*worker // the last to become idle is the first to be woken
	alive  int
	ended  bool
}

// A worker waits for true to look into the queue, or for false to end.
type worker struct {
	wake  chan bool
	since time.Duration // when its last job was over
}

// idleWorker is how long a worker waits for a job before it ends.
const idleWorker = time.Second

// run has jobs carried out. It reports whether there is a new worker, for which
// the caller must see to trim.
func (w *workers) run(jobs ...*job) (grew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range jobs {
		w.queue.add(j)
	}
	before := w.alive
	w.need()
	return w.alive > before
}

// need has a worker come if none does though there are jobs. w.mu is held.
func (w *workers) need() {
	if w.coming > 0 || w.queue.first == nil {
		return
	}
	w.coming++
	if n := len(w.idle) - 1; n >= 0 {
		w.idle[n].wake <- true
		w.idle = w.idle[:n]
		return
	}
	w.alive++
	w.all.Go(w.work)
}

// work carries out jobs until it is told to end, or a handler ends the
// goroutine.
func (w *workers) work() {
	defer w.left()
	self := worker{wake: make(chan bool, 1)}
	w.mu.Lock()
	for {
		w.coming--
		if j := w.queue.take(); j != nil {
			w.need()
			w.mu.Unlock()
			self.since = j.run()
			w.mu.Lock()
			w.coming++
			continue
		}
		ended := w.ended
		if !ended {
			w.idle = append(w.idle, &self)
		}
		w.mu.Unlock()
		if ended || !<-self.wake {
			return
		}
		w.mu.Lock()
	}
}

func (w *workers) left() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive--
}

// trim ends the workers that have been idle for long, and reports whether any
// others are left.
func (w *workers) trim(now time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.idle) && now-w.idle[n].since > idleWorker {
		w.idle[n].wake <- false
		n++
	}
	w.idle = slices.Delete(w.idle, 0, n)
	return w.alive > n
}

// end ends the idle workers, and the others after their jobs, and waits for all.
func (w *workers) end() {
	w.mu.Lock()
	w.ended = true
	for _, idle := range w.idle {
		idle.wake <- false
	}
	w.idle = nil
	w.mu.Unlock()
	w.all.Wait()
}

// A jobQueue is a list of jobs in the order of their coming.
type jobQueue struct{ first, last *job }

func (q *jobQueue) add(j *job) {
	if q.first == nil {
		q.first = j
	} else {
		q.last.queued = j
	}
	q.last = j
}

// take returns the first job, or nil.
func (q *jobQueue) take() *job {
	j := q.first
	if j != nil {
		q.first, j.queued = j.queued, nil
	}
	return j
}
