// SPDX-License-Identifier: Apache-2.0

package streamrpc

import (
	"testing"
	"time"
)

func TestFourPanicsAreLoggedInAMinuteAndTheOthersCounted(t *testing.T) {
	var p panicLog
	begin := time.Now()
	logged := 0
	for i := range 100 {
		if left, ok := p.mayLog(begin.Add(time.Duration(i) * 100 * time.Millisecond)); ok {
			if logged++; left != 0 {
				t.Errorf("%d were left out before number %d", left, i)
			}
		}
	}
	if left, ok := p.mayLog(begin.Add(time.Minute)); logged != 4 || !ok || left != 96 {
		t.Errorf("%d were logged, and then %t with %d left out", logged, ok, left)
	}
}
