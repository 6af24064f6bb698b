// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"testing"
	"time"
)

// FuzzLiveness lets time pass and things happen as the bytes say.
func FuzzLiveness(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 4, 0, 0, 8, 0, 12, 1, 1, 1})
	f.Add([]byte{1, 253, 0, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{3, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2})
	f.Fuzz(func(t *testing.T, steps []byte) {
		w, now := NewLiveness(100*time.Second), 100*time.Second
		heard, unheard, ticked, beat := now, 0, now, now
		for _, b := range steps {
			switch b & 3 {
			case 0: // a tick, mostly on time
				now += Tick + time.Duration(b>>2)*50*time.Millisecond
				late := now-ticked > Tick+LateTick
				ticked = now
				switch p := w.Tick(now); {
				case p == Dead && late:
					t.Fatal("a late tick killed")
				case p == Dead && now-heard < DeadAfter:
					t.Fatalf("dead %v after it was heard", now-heard)
				case p == Dead:
					return
				case !late && now-heard >= DeadAfter+Tick+LateTick:
					t.Fatalf("alive %v after it was heard", now-heard)
				case p == Beat:
					beat = now
				case now-beat >= BeatEvery:
					t.Fatalf("no heartbeat for %v", now-beat)
				}
				if late {
					heard, unheard = now, 0
				}
			case 1:
				w.Heard(now)
				heard, unheard = now, 0
			case 2:
				unheard++
				if p := w.Unheard(now); p == Dead && unheard < 2 {
					t.Fatal("dead after one heartbeat that nobody received")
				} else if p == Dead {
					return
				}
			case 3:
				w.Reconnected(now)
				heard, unheard, beat = now, 0, now
			}
		}
	})
}
