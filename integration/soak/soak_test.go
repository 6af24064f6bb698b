// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

// How long the test lasts, and the seed of its faults; without a length it has
// one of each that costs little.
const (
	lengthVariable = "DURABUS_SOAK"
	seedVariable   = "DURABUS_SOAK_SEED"
)

const (
	// recoveryBound is when a state must have news again at the latest: the longest
	// wait of a durable stream, the silence after which a peer is dead, and an
	// attempt.
	recoveryBound = 10*time.Second + flow.SilenceBound + 2*time.Second

	// callBound is how long a call may be open: it works for 1.5 s, waits out a
	// broker that stands still for 8 s, and learns then that its peer is dead.
	callBound = 8*time.Second + flow.SilenceBound + 4*time.Second
)

// An event is a fault that was, and what came of it.
type event struct {
	*fault
	what        string
	begin, over time.Time // of the fault
	calm        time.Time // everything has recovered
}

func TestWhatBreaksIsMendedAndNothingIsLostSilently(t *testing.T) {
	length, seed := plan(t)
	s := scale{rate: 120, pipes: 1, states: 60}
	if length > 0 {
		s = scale{rate: 500, pipes: 5, states: 500}
	}
	f := newFleet(t, s)
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	if length == 0 {
		for i := range faults {
			if faults[i].cheap {
				f.strike(&faults[i], r, 500*time.Millisecond)
			}
		}
	} else {
		f.strikeOn(length, r)
	}
	lasted := time.Since(f.began)
	f.rest()
	f.end()
	f.judge()
	t.Log("\n" + f.table(s, lasted))
}

func plan(t *testing.T) (length time.Duration, seed uint64) {
	var err error
	if text := os.Getenv(lengthVariable); text != "" {
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", lengthVariable, err)
		}
	}
	if text := os.Getenv(seedVariable); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		return length, seed
	}
	return length, rand.Uint64()
}

// strikeOn has one fault after another, all kinds in turn, for about so long.
func (f *fleet) strikeOn(length time.Duration, r *rand.Rand) {
	longest := 3 * time.Second
	if length >= 5*time.Minute {
		longest = 8 * time.Second
	}
	for {
		for _, i := range r.Perm(len(faults)) {
			if time.Since(f.began) > length || f.t.Failed() {
				return
			}
			f.strike(&faults[i], r, time.Second+time.Duration(r.Int64N(int64(longest-time.Second))))
		}
	}
}

// strike has one fault, and waits until all has recovered from it.
func (f *fleet) strike(what *fault, r *rand.Rand, hold time.Duration) {
	f.t.Helper()
	e := event{fault: what, begin: f.calm}
	var err error
	e.what, err = what.strike(f, r, hold.Round(time.Millisecond))
	f.must(err)
	e.over = time.Now()
	if missing := f.settle(e.over, recoveryBound); missing != "" {
		f.t.Errorf("%s, %s: %v after it was over %s", e.kind, e.what, time.Since(e.over), missing)
	}
	holdFor(500 * time.Millisecond) // what was late has been told
	e.calm = time.Now()
	f.calm = e.calm // where the next begins
	f.events = append(f.events, e)
	fmt.Println(f.progress())
}
