// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/durabus/durabus/bus"
)

// What a Directory does where announcements do not come.
const (
	askEvery  = 20 * time.Second // at least, everybody is asked whether they are there
	askMost   = 30 * time.Second // and at most, at random
	deadAfter = 30 * time.Second // three announcements of an instance, at most 10 s apart
	patience  = 2 * time.Second  // for one menu
	mostHeard = 4096             // instances
)

// hearer is a fleet whose announcements can be heard, as a bus.Client's.
type hearer interface {
	fleet
	Hear(name string, f func(bus.Announcement)) (stop func(), err error)
}

// A Directory is the menu of a fleet, kept current.
type Directory struct {
	caller hearer
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	instances map[string]*instance
	menu      Menu
	changed   chan struct{} // closed at the next change of menu
}

// An instance is a responder that was heard of.
type instance struct {
	menu   Menu // nil until it has told
	heard  time.Time
	asking bool
}

// Watch fetches the menu of the fleet that c, a [bus.Client], reaches and keeps it
// current until ctx is done or Close is called: from announcements at once when an
// instance comes or leaves, after 30 to 60 s of silence when it died, and by asking
// everybody every 20 to 30 s for what announcements did not tell.
func Watch(ctx context.Context, c bus.Caller) (*Directory, error) {
	h, ok := c.(hearer)
	if !ok {
		return nil, &bus.Error{Code: bus.Invalid, RPC: bus.MenuDescription, Message: "only a fleet can be watched: pass a *bus.Client"}
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &Directory{caller: h, cancel: cancel, instances: map[string]*instance{}, changed: make(chan struct{})}
	stop, err := h.Hear(bus.MenuDescription.Name, func(a bus.Announcement) { d.heard(ctx, a) })
	if err != nil {
		cancel()
		return nil, err
	}
	var first sync.WaitGroup
	err = d.ask(ctx, &first)
	first.Wait()
	if err != nil {
		stop()
		d.Close()
		return nil, err
	}
	d.done.Go(func() {
		defer stop()
		d.run(ctx)
	})
	return d, nil
}

// Menu returns the menu as it is now, and a channel that is closed when it has
// changed. The menu is shared: do not change it.
func (d *Directory) Menu() (Menu, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.menu, d.changed
}

// Close ends the watch and returns when its goroutines have.
func (d *Directory) Close() {
	d.mu.Lock() // nothing is started after this; see present
	d.cancel()
	d.mu.Unlock()
	d.done.Wait()
}

// run asks now and then, and gives up who is silent.
func (d *Directory) run(ctx context.Context) {
	t := time.NewTimer(askEvery)
	defer t.Stop()
	for {
		t.Reset(askEvery + rand.N(askMost-askEvery))
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		_ = d.ask(ctx, &d.done) // else at the next turn
		d.mu.Lock()
		for id, i := range d.instances {
			if time.Since(i.heard) >= deadAfter {
				delete(d.instances, id)
			}
		}
		d.publish()
		d.mu.Unlock()
	}
}

// ask finds who is there, and fetches the menus that are not known.
func (d *Directory) ask(ctx context.Context, fetching *sync.WaitGroup) error {
	ids, err := d.caller.Instances(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.present(ctx, id, fetching)
	}
	return nil
}

// heard takes an announcement. It does not wait.
func (d *Directory) heard(ctx context.Context, a bus.Announcement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(a.Versions) > 0 {
		d.present(ctx, a.Instance, &d.done)
		return
	}
	delete(d.instances, a.Instance)
	d.publish()
}

// present notes that an instance is there and, where its menu is not known,
// fetches it. d.mu is held.
func (d *Directory) present(ctx context.Context, id string, fetching *sync.WaitGroup) {
	i := d.instances[id]
	if i == nil && len(d.instances) >= mostHeard {
		return // until others are given up
	}
	if i == nil {
		i = new(instance)
		d.instances[id] = i
	}
	i.heard = time.Now()
	if i.menu != nil || i.asking || ctx.Err() != nil {
		return
	}
	i.asking = true
	fetching.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		m, err := ask(ctx, d.caller.At(id))
		d.mu.Lock()
		defer d.mu.Unlock()
		// Else at its next sign of life.
		if i.asking = false; err == nil && d.lines()+len(m) <= mostLines {
			i.menu = m
		}
		d.publish()
	})
}

// lines counts those of all menus. d.mu is held.
func (d *Directory) lines() (n int) {
	for _, i := range d.instances {
		n += len(i.menu)
	}
	return n
}

// publish makes the union anew where it is another. d.mu is held.
func (d *Directory) publish() {
	menus := make([]Menu, 0, len(d.instances))
	for _, i := range d.instances {
		menus = append(menus, i.menu)
	}
	m := merge(menus...)
	if equal(m, d.menu) {
		return
	}
	d.menu = m
	close(d.changed)
	d.changed = make(chan struct{})
}
