// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"slices"

	"github.com/durabus/durabus/bus"
)

// A link is a fleet of one responder, as menu.Watch and bus.Error.Again want one:
// it is announced when the link heals, and when other handlers take its place.

// instance is that of bus.Local.
const instance = "local"

// A hearing is what listens to the announcements of one name.
type hearing struct {
	name string
	f    func(bus.Announcement)
}

// A waiting is for the first responder that serves one of versions.
type waiting struct {
	name     string
	versions []int
	came     chan struct{}
}

// Instances returns the one there is.
func (l *Link) Instances(context.Context) ([]string, error) {
	if _, _, err := l.take(bus.MenuDescription); err != nil {
		return nil, err
	}
	return []string{instance}, nil
}

// At returns the link itself.
func (l *Link) At(string) bus.Caller { return l }

// Hear is bus.Client.Hear: f is called on the goroutine of Heal and Drain.
func (l *Link) Hear(name string, f func(bus.Announcement)) (stop func(), err error) {
	h := &hearing{name, f}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hearings = append(l.hearings, h)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hearings = slices.DeleteFunc(l.hearings, func(o *hearing) bool { return o == h })
	}, nil
}

// Comes is bus.Client.Comes.
func (l *Link) Comes(name string, versions ...int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waitings {
		if w.name == name && slices.Equal(w.versions, versions) {
			return w.came
		}
	}
	w := waiting{name, versions, make(chan struct{})}
	if l.conn.Err() == nil && l.serves(w) {
		close(w.came)
	} else {
		l.waitings = append(l.waitings, w)
	}
	return w.came
}

// serves reports whether the handlers are what w waits for. l.mu is held.
func (l *Link) serves(w waiting) bool {
	served, _ := l.callee.Served(context.Background(), w.name)
	return slices.ContainsFunc(w.versions, func(v int) bool { return slices.Contains(served, v) })
}

// announce tells those who wait, and returns what tells the listeners: that the
// handlers before have gone if these are others, and what is served now. l.mu is
// held, and is not when that is called.
func (l *Link) announce() (tell func()) {
	l.waitings = slices.DeleteFunc(l.waitings, func(w waiting) bool {
		came := l.serves(w)
		if came {
			close(w.came)
		}
		return came
	})
	callee, others, hearings := l.callee, l.replaced, slices.Clone(l.hearings)
	l.replaced = false
	return func() {
		for _, h := range hearings {
			if others {
				h.f(bus.Announcement{Instance: instance})
			}
			if served, _ := callee.Served(context.Background(), h.name); len(served) > 0 {
				h.f(bus.Announcement{Instance: instance, Versions: served})
			}
		}
	}
}
