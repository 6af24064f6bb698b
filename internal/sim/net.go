// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/durabus/durabus/internal/transport"
)

// A network is a cluster of brokers and the connections to them.
type network struct {
	dice  dice
	delay delays
	trace *trace

	payload int  // bytes of the largest message
	common  bool // nothing is done that cannot be done with a real broker

	mu        sync.Mutex // guards the fields below, and lines, conns and interests
	routes    [][]*line  // from one broker to another
	conns     []*conn
	interests []*interest
	groups    []*interest // in queue groups, of one message; route's
	messages  uint64
	aged      int // requests
	inboxes   uint64
	calm      bool // nothing is late any more
	pending   int  // bytes that a broker holds for a connection before it cuts it
	slow      int  // connections that were cut so
	blocked   int  // times that somebody waited for his socket
	stopped   bool // there is no broker to come back to
}

// delays say how long a message takes on one line.
type delays struct {
	least, most time.Duration
	late        uint64        // one of so many messages takes longer; 0 is none
	latest      time.Duration // at most, then
	safe        bool          // nothing happens to the process's connection
	room        int           // bytes that a caller's socket takes before they arrive; 0 is no end of them
}

// brokerHolds is a broker's max_pending, unless its memory is short.
const brokerHolds = 64 << 20

// An interest is a subscription as the brokers know it.
type interest struct {
	sub   *sub
	node  int
	known []bool // by broker
}

func newNetwork(d dice, nodes int, delay delays, t *trace) *network {
	n := &network{dice: d.of("network"), delay: delay, trace: t, pending: brokerHolds, payload: 1 << 20}
	for from := range nodes {
		var to []*line
		for node := range nodes {
			to = append(to, n.line(fmt.Sprintf("route %d>%d", from, node), delay))
		}
		n.routes = append(n.routes, to)
	}
	return n
}

// A line carries messages one way, in order.
type line struct {
	net   *network
	name  string
	dice  dice
	delay delays
	to    *conn // the process that it leads to; nil

	sent    uint64
	last    time.Time     // when the newest arrives
	hangs   time.Time     // nothing arrives before
	life    uint64        // what was sent in another life does not arrive
	down    bool          // nothing is taken
	waiting int           // bytes on their way
	late    time.Time     // until when something is late
	left    chan struct{} // closed when nothing is on its way any more; nil if nobody waits for that
}

func (n *network) line(name string, d delays) *line {
	return &line{net: n, name: name, dice: n.dice.of(name), delay: d}
}

// send calls arrive when size bytes have arrived, if they do. The network is
// locked for both.
func (l *line) send(size int, arrive func()) {
	if l.down {
		return
	}
	l.sent++
	chance := l.dice.nth(l.sent)
	takes := l.delay.least + time.Duration(chance.below(uint64(l.delay.most-l.delay.least)+1))
	if l.delay.late > 0 && !l.net.calm && chance.nth(1).below(l.delay.late) == 0 {
		takes += time.Duration(chance.nth(2).below(uint64(l.delay.latest)))
		l.late = later(l.late, time.Now().Add(takes))
	}
	now := time.Now()
	due := now.Add(takes)
	if due.Before(l.hangs) {
		due = l.hangs
	}
	if !due.After(l.last) {
		due = l.last.Add(1)
	}
	l.last = due
	life := l.life
	l.waiting += size
	time.AfterFunc(due.Sub(now), func() {
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		l.arrives(size, life, arrive)
	})
}

func (l *line) arrives(size int, life uint64, arrive func()) {
	if life != l.life || l.to.holds(func() { l.arrives(size, life, arrive) }) {
		return
	}
	l.waiting -= size
	if l.waiting == 0 {
		l.cleared()
	}
	arrive()
}

// cleared tells those who wait for it that nothing is on its way.
func (l *line) cleared() {
	if l.left != nil {
		close(l.left)
		l.left = nil
	}
}

// lose forgets what is on its way.
func (l *line) lose() {
	l.life++
	l.waiting = 0
	l.cleared()
	l.renew()
}

// renew begins another connection: what is sent need not wait for what was.
func (l *line) renew() { l.hangs, l.last = time.Time{}, time.Time{} }

// hear makes i known to its broker, and through it to the others.
func (n *network) hear(i *interest, known bool) {
	i.known[i.node] = known
	n.trace.message(i.sub.conn.name, map[bool]string{true: "hears", false: "leaves"}[known], i.sub.subject, 0)
	for node, to := range n.routes[i.node] {
		if node != i.node {
			to.send(0, func() { i.known[node] = known; n.prune(i) })
		}
	}
	n.prune(i)
}

func (n *network) prune(i *interest) {
	if !i.sub.registered(i) && !slices.Contains(i.known, true) {
		if at := slices.Index(n.interests, i); at >= 0 {
			n.interests = slices.Concat(n.interests[:at], n.interests[at+1:]) // route reads what was
		}
	}
}

// route passes on a message, at the broker that a process was connected to for
// so many times when it sent it.
func (n *network) route(from *conn, node int, times uint64, m transport.Msg) {
	n.messages++
	chance := n.dice.of("route").nth(n.messages)
	groups, heard := n.groups[:0], false
	for _, i := range n.interests { // which a slow consumer's end replaces
		switch {
		case !i.known[node] || !i.sub.hears(m.Subject):
		case i.sub.queue == "":
			heard = true
			n.pass(node, i, m)
		default:
			groups = append(groups, i)
		}
	}
	n.groups = groups
	for heard = heard || len(groups) > 0; len(groups) > 0; {
		queue := groups[0].sub.queue
		n.pass(node, choose(groups, queue, node, chance), m)
		groups = slices.DeleteFunc(groups, func(i *interest) bool { return i.sub.queue == queue })
	}
	if heard || m.Reply == "" {
		return
	}
	n.trace.message(from.name, "unheard", m.Subject, len(m.Data))
	if !from.connected || from.times != times {
		return
	}
	for _, s := range from.subs {
		if s.queue == "" && s.hears(m.Reply) {
			from.down.send(0, func() {
				if from.tap != nil {
					from.tap(transport.Msg{Subject: m.Subject, NoResponders: true})
				}
				s.push(transport.Msg{Subject: m.Reply, NoResponders: true})
			})
			return
		}
	}
}

// choose returns who of a queue group gets a message: one of those at a broker, if
// there is one, as NATS does.
func choose(all []*interest, queue string, node int, chance dice) *interest {
	members, near := uint64(0), uint64(0)
	for _, i := range all {
		if i.sub.queue == queue {
			members++
			if i.node == node {
				near++
			}
		}
	}
	if near > 0 {
		members = near
	}
	n := chance.below(members)
	for _, i := range all {
		if i.sub.queue != queue || near > 0 && i.node != node {
			continue
		}
		if n == 0 {
			return i
		}
		n--
	}
	return nil
}

// pass brings a message from a broker to a subscription.
func (n *network) pass(node int, i *interest, m transport.Msg) {
	if node == i.node {
		n.deliver(i, m)
		return
	}
	n.routes[node][i.node].send(len(m.Data), func() {
		if i.known[i.node] {
			n.deliver(i, m)
		}
	})
}

func (n *network) deliver(i *interest, m transport.Msg) {
	c := i.sub.conn
	if !i.sub.registered(i) {
		return // the broker does not know yet that the connection is over
	}
	if c.connected && !c.safe && c.down.waiting+len(m.Data) > n.pending {
		n.trace.note(c.name, "slow consumer")
		n.slow++
		c.cut(false)
		node, away := c.node, time.Duration(n.dice.nth(n.messages).below(uint64(time.Second)))
		time.AfterFunc(away, func() { c.reconnect(node) })
		return
	}
	s := i.sub
	c.down.send(len(m.Data), func() {
		n.trace.message(c.name, "got", m.Subject, len(m.Data))
		if c.tap != nil {
			c.tap(m)
		}
		s.push(m)
	})
}

// split separates two brokers until join: what is on its way between them is
// lost, and nobody is told.
func (n *network) split(a, b int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trace.note("brokers", "split", a, b)
	for _, l := range []*line{n.routes[a][b], n.routes[b][a]} {
		l.lose()
		l.down = true
	}
	for _, i := range slices.Clone(n.interests) {
		switch i.node {
		case a:
			i.known[b] = false
		case b:
			i.known[a] = false
		}
		n.prune(i)
	}
}

// join undoes split.
func (n *network) join(a, b int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trace.note("brokers", "join", a, b)
	for _, l := range []*line{n.routes[a][b], n.routes[b][a]} {
		l.down, l.late = false, later(l.late, time.Now())
	}
	for _, i := range n.interests {
		far := a + b - i.node
		if (i.node == a || i.node == b) && i.known[i.node] {
			n.routes[i.node][far].send(0, func() { i.known[far] = i.known[i.node] })
		}
	}
}

// settle implements [brokers].
func (n *network) settle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending, n.calm = brokerHolds, true
}

// close implements [brokers].
func (n *network) close() tally {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := tally{messages: int(n.messages), slow: n.slow, aged: n.aged, blocked: n.blocked}
	for _, c := range n.conns {
		t.open += len(c.subs)
	}
	return t
}

// matches reports whether a subject falls under a pattern with NATS wildcards.
func matches(pattern, subject string) bool {
	for {
		p, prest, pmore := strings.Cut(pattern, ".")
		s, srest, smore := strings.Cut(subject, ".")
		switch {
		case p == ">":
			return s != ""
		case p != "*" && p != s:
			return false
		case !pmore && !smore:
			return true
		case pmore != smore:
			return false
		}
		pattern, subject = prest, srest
	}
}
