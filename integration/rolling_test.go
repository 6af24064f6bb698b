// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
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

	"github.com/durabus/durabus/bus/bustest/broker"
)

// rollScale is how hard the fleet is worked. `make soak` sets the variable.
func rollScale() (rate int, rest time.Duration) {
	if os.Getenv("DURABUS_SOAK") != "" {
		return 2000, 3 * time.Second
	}
	return 500, time.Second
}

const (
	fleetSize  = 5
	rollBooks  = 201 // durable states held throughout, a third at each node
	laterBooks = 30  // of callers that join later
)

// A rolling is one rolling upgrade of a fleet on a cluster, with its callers.
type rolling struct {
	t       *testing.T
	cluster *broker.Cluster
	urls    []string // of proxies before the nodes, for callers
	kill    bool
	rest    time.Duration // between two replacements
	tally   string        // folder
	tap     *tap
	numbers atomic.Int64
	fleet   []*member
	began   time.Time
	stages  []stage

	releases []*release // that call now

	mu       sync.Mutex // guards the fields below
	outcomes []outcome
	deaths   []death
	ends     map[string]int // of streams and of attempts to open them
	stale    time.Duration  // the longest that a replica had no stream
	reopened int
	compared int
}

// A member is one responder of the fleet.
type member struct {
	*child
	instance string
}

// A death is when a responder was killed.
type death struct {
	instance string
	at, over time.Time
}

// A stage is what happened until a fleet served these versions.
type stage struct {
	name string
	over time.Time
}

func newRolling(t *testing.T, kill bool) *rolling {
	r := &rolling{t: t, kill: kill, cluster: broker.RunCluster(t, broker.Options{}), tally: t.TempDir(), tap: newTap(), began: time.Now(), ends: map[string]int{}}
	_, r.rest = rollScale()
	t.Setenv(rollTally, r.tally)
	for i := range 3 {
		p := broker.RunProxy(t, r.cluster.Node(i).URL())
		p.Tamper(r.tap.see)
		r.urls = append(r.urls, p.URL())
	}
	return r
}

// start starts a responder on node i.
func (r *rolling) start(i int, versions []int) *member {
	list, err := json.Marshal(versions)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Setenv(rollVersions, string(list))
	m := &member{child: startChild(r.t, "rolling responder", r.cluster.Node(i%3).URL())}
	var began int64
	if _, err := fmt.Sscan(m.line(r.t), &m.instance, &began); err != nil {
		r.t.Fatal(err)
	}
	r.tap.served(versions, time.Unix(0, began))
	return m
}

// upgrade replaces the responders one at a time.
func (r *rolling) upgrade(versions ...int) {
	r.t.Helper()
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
	d := death{instance: m.instance, at: time.Now()}
	m.signal(r.t, syscall.SIGKILL)
	for range m.lines {
		continue
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
	rollThrough(newRolling(t, false))
}

func TestARollingUpgradeByKillingFailsNoMoreThanWhatWasInFlight(t *testing.T) {
	rollThrough(newRolling(t, true))
}

// rollThrough takes a fleet from version 1 to version 3. Callers with
// conversions for all three call throughout, those of versions 2 and 3 from when
// there is a version 2.
func rollThrough(r *rolling) {
	rate, _ := rollScale()
	r.upgrade(1)
	r.join([]int{1, 2, 3}, rate, rollBooks)
	r.upgrade(1, 2)
	r.join([]int{2, 3}, rate/4, laterBooks)
	r.upgrade(2, 3)
	r.upgrade(3)
	r.finish()
}

// Both sides have the same library, and the callers upgrade first.
func TestARollingUpgradeAfterTheCallersFailsNothing(t *testing.T) {
	r := newRolling(t, false)
	rate, _ := rollScale()
	r.upgrade(1)
	old := r.join([]int{1}, rate, rollBooks)
	r.join([]int{1, 2}, rate, rollBooks)
	r.leave(old)
	r.upgrade(2)
	r.finish()
}
