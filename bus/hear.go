// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// An Announcement is what one responder says unasked about one name.
type Announcement struct {
	Instance string
	Versions []int // that it serves now, ascending; none: it leaves
}

// A client subscribes to the announcements of so many names, and asks for what it
// knows of others. Of so many in all it remembers what is served.
const (
	maxHeard = 1024
	maxMenus = 4 * maxHeard
)

// Hear calls f for each announcement about name from now until stop is called.
// Responders announce each name when they come, when they leave and when they are
// connected again, and the name of [MenuDescription] every 5 to 10 s besides. Any
// may be lost; where the broker does not permit them none come. f must not wait.
func (cl *Client) Hear(name string, f func(Announcement)) (stop func(), err error) {
	if cl.err != nil {
		return nil, cl.err
	}
	if what := checkTokens(name); what != "" {
		return nil, &Error{Code: Invalid, RPC: Description{Name: name}, Message: fmt.Sprintf("name %q: %s", name, what)}
	}
	b := cl.box
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.open(); err != nil {
		return nil, b.unusable(err, Description{Name: name})
	}
	m := b.menu(wire.FullName(cl.prefix, name))
	id := new(byte)
	m.listeners[id] = f
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(m.listeners, id)
	}, nil
}

// menu returns what is known of name. The first time it subscribes to the
// announcements of the name, so that no answer to a later question misses one.
// b.mu is held.
func (b *mailbox) menu(name string) *knownMenu {
	m := b.menus[name]
	if m == nil {
		if len(b.menus) >= maxMenus {
			maps.DeleteFunc(b.menus, func(_ string, m *knownMenu) bool { return m.idle() })
		}
		m = &knownMenu{listeners: map[*byte]func(Announcement){}}
		b.menus[name] = m
	}
	if m.sub == nil && len(b.menus) <= maxHeard && b.open() == nil {
		sub, err := b.conn.Subscribe(wire.AnnounceSubject(name), "", func(msg transport.Msg) { b.announced(m, msg) })
		if err == nil {
			m.sub = sub
		}
	}
	return m
}

// idle reports whether nobody misses m: who wants to know asks. b.mu is held.
func (m *knownMenu) idle() bool {
	return m.sub == nil && m.asking == nil && len(m.listeners) == 0 && len(m.awaited) == 0
}

// announced takes an announcement.
func (b *mailbox) announced(m *knownMenu, msg transport.Msg) {
	var f wire.Served
	kind, body, _, err := wire.Next(msg.Data)
	if err == nil && kind == wire.KindServed {
		err = errors.Join(f.Parse(body), checkServed(&f))
	}
	if err != nil || kind != wire.KindServed {
		b.drops.add(dropMalformed, "subject", msg.Subject, "error", err)
		return
	}
	a := Announcement{Instance: f.Instance}
	for _, v := range f.Versions {
		a.Versions = append(a.Versions, int(v))
	}
	b.mu.Lock()
	m.heard(a, b.now())
	listeners := slices.Collect(maps.Values(m.listeners))
	b.mu.Unlock()
	for _, f := range listeners {
		f(a)
	}
}

// heard applies an announcement to what is known. It is kept for a while, as
// answers to a question may be older, or not come yet. Who waits for somebody found
// nobody: one who was known before has come too, back after an outage. b.mu is held.
func (m *knownMenu) heard(a Announcement, now time.Duration) {
	if m.asking == nil {
		m.forgetNews(now)
	}
	if _, known := m.of[a.Instance]; !known && len(m.of)+len(m.news) >= maxInstances {
		return
	}
	if m.news == nil {
		m.news = map[string]news{}
	}
	m.news[a.Instance] = news{a.Versions, now}
	if !slices.Equal(m.of[a.Instance], a.Versions) {
		m.set(a)
	}
	m.awaited = slices.DeleteFunc(m.awaited, func(w awaited) bool {
		came := meet(w.versions, a.Versions)
		if came {
			close(w.came)
		}
		return came
	})
}

// set notes what one instance serves. b.mu is held.
func (m *knownMenu) set(a Announcement) {
	if m.of == nil {
		m.of = map[string][]int{}
	}
	if m.of[a.Instance] = a.Versions; len(a.Versions) == 0 {
		delete(m.of, a.Instance)
	}
	if m.known {
		m.count()
	}
}

// count makes the versions of all instances anew: readers may have the old ones.
// b.mu is held.
func (m *knownMenu) count() {
	var all []int
	for _, versions := range m.of {
		all = append(all, versions...)
	}
	slices.Sort(all)
	m.versions = slices.Compact(all)
	m.known = len(m.versions) > 0 // else the next caller asks
}

// left notes that an instance is gone, and makes the next question about any name
// go to the fleet. b.mu is held.
func (b *mailbox) left(instance string) {
	for _, m := range b.menus {
		delete(m.of, instance) // so that its return is news
		delete(m.news, instance)
		m.stale = true
	}
}

// deaf ends the subscriptions. b.mu is not held: nothing is added once b is
// closed.
func (b *mailbox) deaf() (errs []error) {
	for _, m := range b.menus {
		if m.sub != nil {
			errs = append(errs, ended(m.sub.Unsubscribe()))
		}
	}
	return errs
}
