// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
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

// setting returns a number from the environment; `make soak-sim` sets them.
func setting(name string, otherwise uint64) uint64 {
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

func play(t *testing.T, seed uint64) (r sim.Result) {
	synctest.Test(t, func(*testing.T) { r = sim.Run(seed) })
	return r
}

// DURABUS_SIM_FIRST is the first seed, DURABUS_SIM_COUNT how many there are, and
// DURABUS_SIM_TRACES a folder for the whole traces of those that fail.
func TestThePromisesHoldInEverySchedule(t *testing.T) {
	first, count := setting("DURABUS_SIM_FIRST", 1), setting("DURABUS_SIM_COUNT", schedules)
	began, told := time.Now(), time.Now()
	var all sim.Report
	for n := range count {
		seed := first + n
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := play(t, seed)
			all.Add(r.Report)
			complain(t, seed, r)
		})
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Printf("%d of %d schedules from seed %d, %v\n", n+1, count, first, told.Sub(began).Round(time.Second))
		}
	}
	t.Logf("%d schedules from seed %d in %v: %+v", count, first, time.Since(began).Round(time.Second), all)
	if all.Whole == 0 || all.Lost == 0 || all.Resumed == 0 || all.Failed == 0 {
		t.Errorf("the schedules were too easy: %+v", all)
	}
}

// complain tells what was broken, and by which events.
func complain(t *testing.T, seed uint64, r sim.Result) {
	if len(r.Failures) == 0 {
		return
	}
	for _, f := range r.Failures[:min(5, len(r.Failures))] {
		t.Error(f)
	}
	if dir := os.Getenv("DURABUS_SIM_TRACES"); dir != "" {
		file := filepath.Join(dir, fmt.Sprint(seed, ".trace"))
		if err := os.WriteFile(file, []byte(r.Trace(1<<30)), 0o644); err != nil {
			t.Error(err)
		}
	}
	t.Logf("replay: DURABUS_SIM_FIRST=%d DURABUS_SIM_COUNT=1 GOMAXPROCS=1 go test ./internal/sim\n%s", seed, r.Before(100))
}
