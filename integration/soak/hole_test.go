// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A crowd is who watches one feed, and how fast that is.
type crowd struct {
	processes, conns, watchers int // processes, connections of each, watchers of each
	rate, size                 int // updates a second, bytes of one
	before, during             time.Duration
}

// A setting is how a broker and a feed are set up.
type setting struct {
	name  string
	conf  string
	apart bool // the feed has a connection of its own
}

var (
	documented = setting{"as docs/operations.md says", "write_deadline: 2s\n", true}
	defaults   = setting{"nats-server's defaults, one connection", "", false}
)

// A watcher that stops to read, but does not go, takes nothing from the others.
func TestAWatcherThatReadsNothingTakesNothingFromTheOthers(t *testing.T) {
	if length, _ := plan(t); length > 0 {
		c := crowd{processes: 3, conns: 1, watchers: 333, rate: 2000, size: 4 << 10, before: 10 * time.Second, during: 20 * time.Second}
		t.Log("\n" + holeHead + measureHole(t, c, documented).row() + measureHole(t, c, defaults).row())
		return
	}
	// Each tells of a second when it is over: two have one of them in any case.
	c := crowd{processes: 1, conns: 3, watchers: 30, rate: 200, size: 4 << 10, before: 2 * time.Second, during: 3 * time.Second}
	r := measureHole(t, c, documented)
	before, _, _ := rateOf(r.before, c)
	if during, _, lost := rateOf(r.during, c); during < before/2 || lost > 0 {
		t.Errorf("%.0f updates a second beside one who does not read and %.0f before; %d streams were lost", during, before, lost)
	}
	t.Log("\n" + holeHead + r.row())
}

// A holeResult is what the others had.
type holeResult struct {
	setting
	crowd
	before, during []second
	cut            time.Duration // after which the broker ended the connection; 0: it did not
}

// measureHole has one watcher more than c says, and stops its process.
func measureHole(t *testing.T, c crowd, s setting) holeResult {
	u, err := newUndertaker()
	if err != nil {
		t.Fatal(err)
	}
	defer u.dismiss()
	h := &hall{t: t, seconds: map[string][]second{}, cut: make(chan time.Time, 1000), ready: make(chan struct{}, 10)}
	config := filepath.Join(t.TempDir(), "nats.conf")
	address := freeAddress(t)
	if err := os.WriteFile(config, fmt.Appendf(nil, "listen: %q\n%s", address, s.conf), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start(launch(u, "broker", exec.Command(natsServer, "-c", config), (*exec.Cmd).StderrPipe, h.hearBroker))
	defer h.end()
	url := "nats://" + address
	h.role(u, "feeder", feederSpec{URL: url, Apart: s.apart, Rate: c.rate, Size: c.size})
	hole := h.role(u, "watcher", watcherSpec{Name: "hole", URL: url, Apart: s.apart, Conns: 1, Watchers: 1})
	for i := range c.processes {
		h.role(u, "watcher", watcherSpec{Name: fmt.Sprint("audience ", i), URL: url, Apart: s.apart, Conns: c.conns, Watchers: c.watchers, Calls: i == 0})
	}
	holdFor(2 * time.Second) // they have come
	begin := time.Now()
	holdFor(c.before)
	stop := time.Now()
	if err := hole.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	holdFor(c.during)
	r := holeResult{setting: s, crowd: c, before: h.between(begin, stop), during: h.between(stop.Add(time.Second), time.Now())}
	select {
	case at := <-h.cut:
		r.cut = at.Sub(stop)
	default:
	}
	return r
}

// A hall is the processes of one measurement.
type hall struct {
	t     *testing.T
	all   []*process
	ready chan struct{}
	cut   chan time.Time

	mu      sync.Mutex
	seconds map[string][]second // by process
}

func (h *hall) start(p *process, err error) *process {
	if err != nil {
		h.t.Fatal(err)
	}
	h.all = append(h.all, p)
	select {
	case <-h.ready:
	case <-p.ended:
		h.t.Fatalf("%s has ended", p.name)
	case <-time.After(patience):
		h.t.Fatalf("%s is not ready", p.name)
	}
	return p
}

func (h *hall) role(u *undertaker, name string, spec any) *process {
	return h.start(role(u, name, name, spec, h.hear))
}

func (h *hall) end() {
	for _, p := range slices.Backward(h.all) {
		p.kill()
	}
}

func (h *hall) hearBroker(line string) {
	switch {
	case strings.Contains(line, "Server is ready"):
		h.ready <- struct{}{}
	case strings.Contains(line, "Slow Consumer"):
		select {
		case h.cut <- time.Now():
		default:
		}
	}
}

func (h *hall) hear(line string) {
	var s second
	switch err := json.Unmarshal([]byte(line), &s); {
	case line == "ready":
		h.ready <- struct{}{}
	case err != nil:
		h.t.Errorf("a process says %q", line)
	default:
		h.mu.Lock()
		h.seconds[s.Name] = append(h.seconds[s.Name], s)
		h.mu.Unlock()
	}
}

// between returns the seconds of the audience that lie between two times.
func (h *hall) between(from, to time.Time) (all []second) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, seconds := range h.seconds {
		for _, s := range seconds {
			if name != "hole" && s.At.After(from) && s.At.Before(to) {
				all = append(all, s)
			}
		}
	}
	if len(all) == 0 {
		h.t.Error("the audience says nothing")
	}
	return all
}

const holeHead = "| Broker and feed | updates/s: before | during | least in a second, of any watcher | streams lost: before | during | calls' p50: before | during | in the worst second | longest | cut after |\n|---|---|---|---|---|---|---|---|---|---|---|\n"

func (r holeResult) row() string {
	before, _, lostBefore := rateOf(r.before, r.crowd)
	during, least, lost := rateOf(r.during, r.crowd)
	p50, _, _ := callsOf(r.before)
	then, worst, longest := callsOf(r.during)
	return fmt.Sprintf("| %s | %.0f | %.0f | %d | %d | %d | %v | %v | %v | %v | %v |\n", r.name, before, during, least, lostBefore, lost, p50, then, worst, longest, r.cut.Round(time.Millisecond))
}

// rateOf returns how many updates a second each watcher had, the least that one had
// in a second, and how many streams were lost.
func rateOf(seconds []second, c crowd) (rate float64, least, lost int64) {
	var sum, spans float64
	least = 1 << 62
	first, last := map[string]int64{}, map[string]int64{}
	for _, s := range seconds {
		sum += float64(s.Updates) / float64(c.conns*c.watchers)
		spans += s.Span.Seconds()
		least = min(least, int64(float64(s.Least)/s.Span.Seconds()))
		if _, ok := first[s.Name]; !ok {
			first[s.Name] = s.Lost
		}
		last[s.Name] = s.Lost
	}
	for name := range last {
		lost += last[name] - first[name]
	}
	return sum / spans, least, lost
}

// callsOf returns the middle of the calls' middles, the worst of them, and the
// longest call.
func callsOf(seconds []second) (p50, worst, longest time.Duration) {
	var all []time.Duration
	for _, s := range seconds {
		if s.Calls > 0 {
			all = append(all, s.P50)
			worst, longest = max(worst, s.P50), max(longest, s.Longest)
		}
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	micros := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
	return micros(all[len(all)/2]), micros(worst), micros(longest)
}
