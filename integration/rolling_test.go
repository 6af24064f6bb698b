// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/wire"
)

// rollLoad is the environment variable that CI sets to "ci" and `make soak-rolling` to
// "soak", for full upgrades instead of short ones.
const rollLoad = "DURABUS_ROLL"

// rollScale is how many calls a second and durable states, a third at each node,
// work the fleet, and for how long at least. Where nobody asks for more, these tests
// run beside others and under the race detector: what they show then is a matter of
// order, not of load.
func rollScale() (rate, books int, length time.Duration) {
	switch os.Getenv(rollLoad) {
	case "soak":
		return 2000, 201, time.Minute
	case "ci":
		return 500, 201, time.Minute
	}
	return 100, 45, 15 * time.Second
}

const (
	fleetSize  = 5
	laterBooks = 30 // durable states of callers that join later
)

// A rolling is one rolling upgrade of a fleet on a cluster, with its callers.
type rolling struct {
	t       *testing.T
	cluster []testBroker
	urls    []string // of the nodes behind the tap, for callers
	kill    bool
	rate    int
	books   int
	rest    time.Duration // between two replacements
	tally   string        // folder
	tap     *tap
	probes  []*nats.Conn // to the nodes, where responders are killed
	numbers atomic.Int64
	fleet   []*member
	served  []int // versions
	began   time.Time
	stages  []stage

	releases []*release // that call now

	mu       sync.Mutex // guards the fields below
	outcomes []outcome
	deaths   []death
	ends     map[string]int  // of streams and of attempts to open them
	stale    []time.Duration // for how long a replica had no stream
	compared int
}

// A member is one responder of the fleet.
type member struct {
	*child
	node     testBroker
	instance string
}

// A death is when a responder was killed, and when the cluster knew it.
type death struct {
	*member
	at, over time.Time
}

// A stage is what happened until a fleet served these versions.
type stage struct {
	name string
	over time.Time
}

// newRolling makes an upgrade that will have this many stages of replacements. It
// goes on beside others, for most of its time is waiting, unless it is to show what
// a machine carries.
func newRolling(t *testing.T, kill bool, stages int) *rolling {
	if os.Getenv(rollLoad) != "soak" {
		t.Parallel()
	}
	r := &rolling{t: t, kill: kill, cluster: runCluster(t, broker.Options{}), tally: t.TempDir(), tap: newTap(), began: time.Now(), ends: map[string]int{}}
	rate, books, length := rollScale()
	r.rate, r.books, r.rest = rate, books, length/time.Duration(stages*fleetSize)
	for i := range 3 {
		r.urls = append(r.urls, r.tap.callers(t, r.cluster[i].URL()))
		if kill {
			r.probes = append(r.probes, connect(t, r.cluster[i].URL()))
		}
	}
	return r
}

// start starts a responder on node i.
func (r *rolling) start(i int, versions []int) *member {
	list, err := json.Marshal(versions)
	if err != nil {
		r.t.Fatal(err)
	}
	m := &member{node: r.cluster[i%3]}
	m.child = startChild(r.t, "rolling responder", r.tap.responder(r.t, m.node.URL(), m),
		rollTally+"="+r.tally, rollVersions+"="+string(list))
	m.instance = m.line(r.t)
	return m
}

// upgrade replaces the responders one at a time.
func (r *rolling) upgrade(versions ...int) {
	r.t.Helper()
	r.served = append(r.served, versions...)
	for i := range fleetSize {
		if len(r.fleet) < fleetSize {
			r.fleet = append(r.fleet, r.start(i, versions))
			continue
		}
		r.end(r.fleet[i])
		r.fleet[i] = r.start(i, versions)
		pace(r.t.Context(), r.rest)
		r.sample(10)
	}
	r.pass(fmt.Sprint("the fleet serves ", versions))
}

// end drains a responder or kills it.
func (r *rolling) end(m *member) {
	r.t.Helper()
	if !r.kill {
		m.signal(r.t, syscall.SIGTERM)
		if line := m.line(r.t); !strings.HasPrefix(line, "drained") {
			r.t.Errorf("a responder that drains says %q", line)
		}
		for range m.lines { // until it is gone
			continue
		}
		return
	}
	before := m.node.Connections()
	d := death{member: m, at: time.Now()}
	m.signal(r.t, syscall.SIGKILL)
	eventually(r.t, "a connection less", func() bool { return m.node.Connections() < before })
	for _, nc := range r.probes {
		eventually(r.t, "that a node has heard of it", func() bool {
			_, err := nc.Request(wire.InstanceSubject(m.instance, "nobody", 1), nil, 20*time.Millisecond)
			return errors.Is(err, nats.ErrNoResponders)
		})
	}
	d.over = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaths = append(r.deaths, d)
}

// leave ends callers.
func (r *rolling) leave(c *release) {
	c.leave()
	r.releases = slices.DeleteFunc(r.releases, func(other *release) bool { return other == c })
}

// pass notes the end of a stage.
func (r *rolling) pass(name string) { r.stages = append(r.stages, stage{name, time.Now()}) }

// sample compares n random replicas with their sources.
func (r *rolling) sample(n int) {
	for range n {
		books := r.releases[rand.N(len(r.releases))].books
		if books[rand.N(len(books))].compare(r.t) {
			r.compared++
		}
	}
}

func TestARollingUpgradeByDrainFailsNothing(t *testing.T) {
	rollThrough(newRolling(t, false, 4))
}

func TestARollingUpgradeByKillingFailsNoMoreThanWhatWasInFlight(t *testing.T) {
	rollThrough(newRolling(t, true, 4))
}

// rollThrough takes a fleet from version 1 to version 3. Callers with
// conversions for all three call throughout, those of versions 2 and 3 from when
// there is a version 2. As all use the newest version that there is, most of
// those who leave in an upgrade have no calls any more: so the last fleet is
// replaced by its like, in which each has its part of them.
func rollThrough(r *rolling) {
	r.upgrade(1)
	r.join([]int{1, 2, 3}, r.rate, r.books)
	r.upgrade(1, 2)
	r.join([]int{2, 3}, r.rate/4, laterBooks)
	r.upgrade(2, 3)
	r.upgrade(3)
	r.upgrade(3)
	r.finish()
}

// Both sides have the same library, and the callers upgrade first.
func TestARollingUpgradeAfterTheCallersFailsNothing(t *testing.T) {
	r := newRolling(t, false, 2)
	r.upgrade(1)
	old := r.join([]int{1}, r.rate, r.books)
	r.join([]int{1, 2}, r.rate, r.books)
	r.leave(old)
	r.upgrade(2)
	r.upgrade(2)
	r.finish()
}
