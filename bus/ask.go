// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// How long a question to all waits: for the first answer of one who stays at most
// firstWait, then for silence.
const (
	firstWait = time.Second
	silence   = 25 * time.Millisecond // or twice what the first answer took
	menuFresh = time.Second           // after which a known menu is asked for anew
)

// A question waits for its answers.
type question struct {
	subject string
	answers chan answer
}

// An answer is one instance's to a question.
type answer struct {
	nobody   bool
	denied   error // the broker refused the question
	instance string
	versions []int
}

// A knownMenu is what is known of who serves one name.
type knownMenu struct {
	versions []int // ascending, of all instances
	err      error
	at       time.Duration
	known    bool          // the fields above are
	stale    bool          // something happened since: ask before answering
	asking   chan struct{} // closed when the question under way is answered; nil

	of        map[string][]int // versions by instance
	asked     time.Duration    // when the last question was
	news      map[string]news  // what instances announced lately
	sub       transport.Subscription
	listeners map[*byte]func(Announcement)
	awaited   []awaited
}

// News is what one instance announced.
type news struct {
	versions []int
	at       time.Duration
}

// newsHold is how long an announcement holds though its instance does not answer:
// in a cluster the word of its subscriptions may come later than it.
const newsHold = time.Second

// forgetNews lets go of what does not hold any more. b.mu is held.
func (m *knownMenu) forgetNews(now time.Duration) {
	maps.DeleteFunc(m.news, func(_ string, n news) bool { return n.at < now-newsHold })
}

// ask publishes a question and returns the answers until they have gone quiet;
// just the first if one is enough.
func (b *mailbox) ask(ctx context.Context, subject, name string, one bool) ([]answer, error) {
	answers, _, err := b.question(ctx, subject, name, one)
	return answers, err
}

// question is ask that reports whether there are no answers because the broker
// knows nobody to ask. What was lost with a connection is asked for once more on the
// next: that nothing came is no answer then.
func (b *mailbox) question(ctx context.Context, subject, name string, one bool) (got []answer, nobody bool, err error) {
	for {
		gen := b.conn.Generation()
		got, nobody, err = b.pose(ctx, subject, name, one)
		if err != nil || nobody || one && len(got) > 0 || b.conn.Connected() && gen == b.conn.Generation() {
			return got, nobody, err
		}
	}
}

// pose asks a question once.
func (b *mailbox) pose(ctx context.Context, subject, name string, one bool) (got []answer, nobody bool, _ error) {
	if err := b.ready(ctx, Description{Name: name}); err != nil {
		return nil, false, err
	}
	n := b.next()
	q := question{subject, make(chan answer, 64)}
	b.mu.Lock()
	err := b.open()
	if err == nil && !b.conn.Connected() {
		err = b.disconnected(Description{Name: name}, false)
	} else if err != nil {
		err = b.unusable(err, Description{Name: name})
	}
	if err != nil {
		b.mu.Unlock()
		return nil, false, err
	}
	b.asks[n] = q
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.asks, n)
		b.mu.Unlock()
	}()
	packet := wire.AppendNumber(wire.Ask{Protocol: protocolVersion, Name: name}.Append(nil), n)
	if err := b.failed(b.conn.Publish(subject, b.reply(n), packet), Description{Name: name}); err != nil {
		return nil, false, err
	}
	return b.gather(ctx, q.answers, name, one)
}

func (b *mailbox) gather(ctx context.Context, ch <-chan answer, name string, one bool) (got []answer, nobody bool, _ error) {
	start, wait := time.Now(), firstWait
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case a := <-ch:
			if a.nobody || a.denied != nil {
				return nil, a.nobody, a.denied
			}
			if got = append(got, a); one || len(got) == maxInstances {
				return got, false, nil
			}
			if wait == firstWait {
				if len(a.versions) == 0 {
					continue // it leaves: that it was quick says nothing of the others
				}
				wait = max(silence, 2*time.Since(start))
			}
			t.Reset(wait)
		case <-t.C:
			if len(ch) == 0 { // else it was us who were late
				return got, false, nil
			}
			t.Reset(silence)
		case <-b.quit:
			return got, false, b.unusable(errClosed, Description{Name: name})
		case <-ctx.Done():
			return got, false, notSent(contextError(ctx, Description{Name: name}))
		}
	}
}

// answered takes an answer to the question that the address names.
func (b *mailbox) answered(token string, f *wire.Served) {
	n, _ := strconv.ParseUint(token, 10, 64)
	a := answer{instance: f.Instance}
	for _, v := range f.Versions {
		a.versions = append(a.versions, int(v))
	}
	b.mu.Lock()
	q, ok := b.asks[n]
	b.mu.Unlock()
	if !ok {
		b.drops.add(dropLate, "peer", f.Instance)
		return
	}
	if !q.answer(a) {
		b.drops.add(dropOverflow, "peer", f.Instance)
	}
}

// answer reports whether there was room for a.
func (q question) answer(a answer) bool {
	select {
	case q.answers <- a:
		return true
	default:
		return false
	}
}

// askOne asks one of those who serve name which versions it serves, and all of
// them if that one is leaving or says nothing: it may be stopped, and the others
// not.
func (b *mailbox) askOne(ctx context.Context, name string) ([]int, error) {
	answers, nobody, err := b.question(ctx, wire.MenuOneSubject(name), name, true)
	if versions := union(answers); err != nil || nobody || len(versions) > 0 {
		return versions, err
	}
	answers, err = b.ask(ctx, wire.MenuAllSubject(name), name, false)
	return union(answers), err
}

func union(answers []answer) (versions []int) {
	for _, a := range answers {
		versions = append(versions, a.versions...)
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// served returns the versions of name that are served, by one instance if it is
// named.
func (b *mailbox) served(ctx context.Context, name, instance string) ([]int, error) {
	if instance != "" {
		answers, err := b.ask(ctx, wire.MenuAllSubject(name), name, false)
		answers = slices.DeleteFunc(answers, func(a answer) bool { return a.instance != instance })
		return union(answers), err
	}
	for {
		m, versions, wait, err := b.known(name)
		if err != nil || wait == nil {
			return versions, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, notSent(contextError(ctx, Description{Name: name}))
		}
		if versions, changed, err := b.answer(m); !changed {
			return versions, err
		}
	}
}

// answer returns what the last question brought, and whether something has
// changed since it was asked.
func (b *mailbox) answer(m *knownMenu) (versions []int, changed bool, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return m.versions, m.stale, m.err
}

// known returns what is known of name, or a channel that is closed when the
// question that it asked is answered.
func (b *mailbox) known(name string) (m *knownMenu, versions []int, wait <-chan struct{}, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, nil, b.unusable(errClosed, Description{Name: name})
	}
	m = b.menu(name)
	fresh := m.known && !m.stale
	if m.asking == nil && (!fresh || b.now()-m.at > menuFresh) {
		m.asking, m.stale = make(chan struct{}), false
		m.asked = b.now()
		b.wg.Go(func() { b.askAll(name, m) })
	}
	if fresh {
		return m, m.versions, nil, nil
	}
	return m, nil, m.asking, nil
}

// askAll asks all who serve name, once for all who want to know. What came within
// its own limit is the answer: those who wait have limits of theirs.
func (b *mailbox) askAll(name string, m *knownMenu) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*firstWait)
	defer cancel()
	answers, err := b.ask(ctx, wire.MenuAllSubject(name), name, false)
	if errors.Is(err, Expired) {
		err = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m.of, m.err, m.at = map[string][]int{}, err, b.now()
	for _, a := range answers {
		m.of[a.instance] = a.versions
	}
	for instance, n := range m.news {
		if _, answered := m.of[instance]; n.at >= m.asked || !answered && n.at >= m.asked-newsHold {
			m.set(Announcement{instance, n.versions})
		}
	}
	m.forgetNews(b.now())
	m.count()
	m.known = m.known && err == nil
	close(m.asking)
	m.asking = nil
}

// forget makes the next question about name, or about any name if it is empty,
// go to the fleet.
func (b *mailbox) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, m := range b.menus {
		if name == "" || n == name {
			m.stale = true
		}
	}
}

// instances asks all who serve the RPC that everybody serves.
func (b *mailbox) instances(ctx context.Context, menuName string) ([]string, error) {
	answers, err := b.ask(ctx, wire.MenuAllSubject(menuName), menuName, false)
	var ids []string
	for _, a := range answers {
		ids = append(ids, a.instance)
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}
