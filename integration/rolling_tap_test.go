// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/wire"
)

// A tap stands in the connections of all callers and responders, and sees each
// announcement before the broker does and each request before it too. A
// subscription to the subjects of requests would be a responder to the broker,
// which then told no caller that there is none.
type tap struct {
	mu        sync.Mutex
	announced map[string]bool // subjects of requests, those to one instance too
	requests  map[string]int  // that callers sent, by subject
	early     map[string]int  // those of them that came before the first announcement
	took      map[int][]*member
}

func newTap() *tap {
	return &tap{announced: map[string]bool{}, requests: map[string]int{}, early: map[string]int{}, took: map[int][]*member{}}
}

// rollDistance is how far responders are from the broker, so that there always
// are calls on their way to one that leaves.
const rollDistance = 5 * time.Millisecond

// callers returns the URL of a broker behind the tap, for callers.
func (t *tap) callers(tb testing.TB, url string) string { return t.behind(tb, url, t.request).URL() }

// responder returns the URL of a broker behind the tap, for m alone.
func (t *tap) responder(tb testing.TB, url string, m *member) string {
	p := t.behind(tb, url, func(op *broker.Op) {
		t.announcement(op)
		t.delivery(op, m)
	})
	p.Delay(rollDistance)
	return p.URL()
}

func (t *tap) behind(tb testing.TB, url string, see func(*broker.Op)) *broker.Proxy {
	tb.Helper()
	p := broker.RunProxy(tb, url)
	p.Tamper(func(op *broker.Op) broker.Verdict {
		if op.IsMessage() {
			t.mu.Lock()
			defer t.mu.Unlock()
			see(op)
		}
		return broker.Pass
	})
	return p
}

// announcement notes what a responder says that it serves.
func (t *tap) announcement(op *broker.Op) {
	name, ok := strings.CutPrefix(op.Subject, wire.AnnounceSubject(""))
	if !ok || op.Direction != broker.ToServer {
		return
	}
	var f wire.Served
	if kind, body, _, err := wire.Next(op.Payload); err != nil || kind != wire.KindServed || f.Parse(body) != nil {
		return
	}
	for _, v := range f.Versions {
		t.announced[wire.RequestSubject(name, int(v))] = true
		t.announced[wire.InstanceSubject(f.Instance, name, int(v))] = true
	}
}

// request notes what a caller asks for.
func (t *tap) request(op *broker.Op) {
	_, _, toAny := wire.ParseRequestSubject(op.Subject)
	_, _, _, toOne := wire.ParseInstanceSubject(op.Subject)
	if !toAny && !toOne || op.Direction != broker.ToServer {
		return
	}
	t.requests[op.Subject]++
	if !t.announced[op.Subject] {
		t.early[op.Subject]++
	}
}

// delivery notes the number of a ticket that the broker gives to m.
func (t *tap) delivery(op *broker.Op, m *member) {
	name, _, ok := wire.ParseRequestSubject(op.Subject)
	if !ok || op.Direction != broker.ToClient || name != findFamily.Name() && name != payFamily.Name() {
		return
	}
	var o wire.Open
	if kind, body, _, err := wire.Next(op.Payload); err != nil || kind != wire.KindOpen || o.Parse(body) != nil {
		return
	}
	digits := bytes.TrimFunc(o.Query, func(r rune) bool { return r < '0' || r > '9' })
	if n, err := strconv.Atoi(string(digits)); err == nil {
		t.took[n] = append(t.took[n], m)
	}
}

// check fails the test if anything was asked for before it was announced, or
// nothing was asked for.
func (t *tap) check(tb testing.TB) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	for subject, n := range t.early {
		tb.Errorf("%d requests on %s before it was announced", n, subject)
	}
	all := 0
	for _, n := range t.requests {
		all += n
	}
	if all == 0 {
		tb.Error("the tap saw no requests")
	}
	tb.Logf("a tap saw %d requests on %d subjects, %d of them before the first announcement", all, len(t.requests), len(t.early))
}
