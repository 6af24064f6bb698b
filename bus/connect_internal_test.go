// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"testing"
	"time"
)

// attempts is how often a client tries in a time, at most, if each attempt fails
// at once; rolls is how many fates are tried.
func attempts(within time.Duration, rolls int) (most int) {
	for range rolls {
		n := 0
		for at := time.Duration(0); at <= within; n++ {
			at += reconnectDelay(n + 1)
		}
		most = max(most, n)
	}
	return most
}

func TestAClientLeavesABrokerAloneThatIsAwayForLong(t *testing.T) {
	if n := attempts(30*time.Second, 10_000); n > 25 {
		t.Errorf("%d attempts in 30s", n)
	}
}

func TestABrokerThatRestartsIsLookedForAtOnce(t *testing.T) {
	for range 1000 {
		for n := 1; n <= 8; n++ { // for 24 ms at least
			if d := reconnectDelay(n); d < 3*time.Millisecond || d > 6*time.Millisecond {
				t.Fatalf("attempt %d comes %v after the one before it", n, d)
			}
		}
	}
}

func TestNoClientWaitsForEver(t *testing.T) {
	for _, n := range []int{20, 1 << 20, 1 << 40} {
		if d := reconnectDelay(n); d > 5*time.Second || d < 2*time.Second {
			t.Errorf("before attempt %d: %v", n, d)
		}
	}
}

func TestClientsOfABrokerComeBackAtDifferentTimes(t *testing.T) {
	for _, n := range []int{1, 8, 10, 20} {
		least, most := time.Hour, time.Duration(0)
		for range 100 {
			d := reconnectDelay(n)
			least, most = min(least, d), max(most, d)
		}
		if most-least < most/4 {
			t.Errorf("attempt %d of 100 clients comes after %v to %v", n, least, most)
		}
	}
}
