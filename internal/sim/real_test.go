// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/internal/sim"
)

// A real is an embedded nats-server.
type real struct{ *broker.Server }

func (r real) SlowConsumers() int { return int(r.NATS().NumSlowConsumers()) }

// embedded starts one with the settings that docs/operations.md names.
func embedded(t *testing.T) func(pending int) sim.Server {
	return func(pending int) sim.Server {
		config := "write_deadline: 2s\n"
		if pending > 0 {
			config += fmt.Sprintf("max_payload: 256KB\nmax_pending: %d\n", pending)
		}
		s, err := broker.Start(broker.Options{InProcess: true, Config: config})
		if err != nil {
			t.Fatal(err)
		}
		return real{s}
	}
}

// playReal plays a schedule on a real broker, in a bubble of its own.
func playReal(t *testing.T, seed uint64) (r sim.Result) {
	defer func() { // also of a schedule that fails
		runtime.GC() // nats.go keeps timers of this bubble, which the next must not take
		runtime.GC()
	}()
	synctest.Test(t, func(t *testing.T) { r = sim.RunOn(seed, embedded(t)) })
	return r
}

func TestThePromisesHoldOnARealBroker(t *testing.T) {
	beside(t, "a real broker", realSchedules, playReal)
}

// These are the schedules of the real broker, to be compared with it.
func TestThePromisesHoldOnOneBrokerThatRestarts(t *testing.T) {
	beside(t, "one simulated broker", aloneSchedules, func(t *testing.T, seed uint64) (r sim.Result) {
		synctest.Test(t, func(*testing.T) { r = sim.RunAlone(seed) })
		return r
	})
}

// beside plays schedules as TestThePromisesHoldInEverySchedule does, with the same
// settings, and says how often calls failed with which code.
func beside(t *testing.T, on string, otherwise uint64, play func(*testing.T, uint64) sim.Result) {
	first, count := setting("DURABUS_SIM_FIRST", 1), setting("DURABUS_SIM_COUNT", otherwise)
	replay := "perhaps DURABUS_SIM_FIRST=%d DURABUS_SIM_COUNT=1 GOMAXPROCS=1 go test ./internal/sim -run " + t.Name()
	began, told := time.Now(), time.Now()
	var all sim.Report
	for n := range count {
		seed := first + n
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := play(t, seed)
			all.Add(r.Report)
			complain(t, seed, r, fmt.Sprintf(replay, seed))
		})
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Printf("%d of %d schedules on %s from seed %d, %v\n", n+1, count, on, first, told.Sub(began).Round(time.Second))
		}
	}
	fmt.Printf("%d schedules on %s from seed %d in %v: %+v\n", count, on, first, time.Since(began).Round(time.Second/10), all)
	if count >= 50 && (all.Whole == 0 || all.Lost == 0 || all.Resumed == 0 || all.Failed == 0) {
		t.Errorf("the schedules were too easy: %+v", all)
	}
}
