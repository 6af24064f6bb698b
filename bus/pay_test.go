// SPDX-License-Identifier: Apache-2.0

package bus

import "testing"

func TestAStreamWaitsOnceForPeerCredit(t *testing.T) {
	s, o := new(session), &outStream{job: new(job)}
	for range 1000 { // woken by stream credit that a caller repeats
		if s.pay(1, o) {
			t.Fatal("there is no credit")
		}
	}
	if len(s.blocked) != 1 {
		t.Errorf("it waits %d times", len(s.blocked))
	}
}
