// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/durabus/durabus/internal/sim"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	debug.SetGCPercent(400)
	goleak.VerifyTestMain(m)
}

// setting returns a number from the environment; internal/sim/replay sets them.
func setting(name string, otherwise uint64) uint64 {
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

func play(t *testing.T, seed uint64) (r sim.Result) {
	exactly(t, seed, func() {
		synctest.Test(t, func(*testing.T) { r = sim.Run(seed) })
	})
	return r
}

// DURABUS_SIM_FIRST is the first seed, DURABUS_SIM_COUNT how many there are;
// DURABUS_SIM_BACK plays the last first.
func TestThePromisesHoldInEverySchedule(t *testing.T) {
	first, count := setting("DURABUS_SIM_FIRST", 1), setting("DURABUS_SIM_COUNT", schedules)
	back := setting("DURABUS_SIM_BACK", 0) > 0
	began := time.Now()
	var all sim.Report
	for n := range count {
		seed := first + n
		if back {
			seed = first + count - 1 - n
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := play(t, seed)
			all.Add(r.Report)
			complain(t, seed, r, fmt.Sprintf(howToReplay, seed))
			report(t, seed, r)
		})
	}
	t.Logf("%d schedules from seed %d in %v: %+v", count, first, time.Since(began).Round(time.Second), all)
	// With the race detector the runtime chooses at random who runs next, so that
	// what its few schedules come to differs from run to run.
	if count < 500 {
		return
	}
	for what, n := range map[string]int{
		"pipes read whole": all.Whole, "streams lost": all.Lost, "streams resumed": all.Resumed, "calls failed": all.Failed,
		"processes stopped": all.Stops, "clocks jumped": all.Jumps, "requests too old": all.Aged, "shared pipes read whole": all.Shared,
		"responders upgraded": all.Upgrades, "versions overlapped": all.Overlaps, "readers of feeds behind": all.Behind, "sockets full": all.Blocked, "sources renewed": all.Renewals,
	} {
		if n == 0 {
			t.Errorf("the schedules were too easy, %s: none of %+v", what, all)
		}
	}
	if all.Queued < 200<<10 || all.Behind < 2<<20 || all.OnWay < 1<<20 || all.Values == 0 {
		t.Errorf("no reader was slow enough to need a bound: %+v", all)
	}
}

// complain tells what was broken, and by which events. DURABUS_SIM_TRACES is a
// folder for whole traces.
func complain(t *testing.T, seed uint64, r sim.Result, replay string) {
	if len(r.Failures) == 0 {
		return
	}
	for _, f := range r.Failures[:min(5, len(r.Failures))] {
		t.Error(f)
	}
	if dir := os.Getenv("DURABUS_SIM_TRACES"); dir != "" {
		var trace strings.Builder
		r.Trace(&trace)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(seed, ".trace")), []byte(trace.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
	var before strings.Builder
	r.Before(&before, 100)
	t.Logf("replay: %s\n%s", replay, before.String())
}

// report tells internal/sim/replay about one schedule: DURABUS_SIM_LINES has
// reports, DURABUS_SIM_SUMS the sums of traces with them, DURABUS_SIM_TRACE traces.
func report(t *testing.T, seed uint64, r sim.Result) {
	if setting("DURABUS_SIM_TRACE", 0) > 0 {
		r.Trace(os.Stdout)
	}
	if setting("DURABUS_SIM_LINES", 0) == 0 {
		return
	}
	line := sim.Line{Seed: seed, Report: r.Report, Broken: len(r.Failures)}
	if setting("DURABUS_SIM_SUMS", 0) > 0 {
		line.Sum = r.Sum()
	}
	text, err := json.Marshal(line)
	if err != nil {
		t.Error(err)
	}
	fmt.Printf("%s%s\n", sim.LineMark, text)
}
