// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

// A watch is a Liveness that ticks as it should.
type watch struct {
	flow.Liveness
	now time.Duration
}

func newWatch() *watch {
	const start = 100 * time.Second // nothing may depend on it
	return &watch{Liveness: flow.NewLiveness(start), now: start}
}

// tick lets d pass and ticks on time. It returns the last pulse and the number of
// heartbeats.
func (w *watch) tick(d time.Duration) (last flow.Pulse, beats int) {
	for end := w.now + d; w.now < end; {
		w.now += flow.Tick
		if last = w.Tick(w.now); last == flow.Beat {
			beats++
		}
		if last == flow.Dead {
			return last, beats
		}
	}
	return last, beats
}

func TestAHeartbeatLeavesEverySecond(t *testing.T) {
	w := newWatch()
	for range 10 {
		w.Heard(w.now)
		if p, beats := w.tick(time.Second); p != flow.Beat || beats != 1 {
			t.Fatalf("a second ended with %d after %d heartbeats", p, beats)
		}
	}
}

func TestAPeerIsDeadAfterItsSilence(t *testing.T) {
	w := newWatch()
	w.tick(time.Second)
	w.Heard(w.now)
	heard := w.now
	if p, _ := w.tick(time.Minute); p != flow.Dead || w.now-heard != flow.DeadAfter {
		t.Errorf("pulse %d after %v of silence", p, w.now-heard)
	}
}

func TestAPeerThatIsHeardLives(t *testing.T) {
	w := newWatch()
	for range 100 {
		if p, _ := w.tick(flow.DeadAfter - flow.Tick); p == flow.Dead {
			t.Fatal("dead, though it was heard in time")
		}
		w.Heard(w.now)
	}
	if got := w.Silence(w.now + time.Second); got != time.Second {
		t.Errorf("not heard for %v, of which a second passed", got)
	}
}

func TestALateTickNeverKills(t *testing.T) {
	for _, asleep := range []time.Duration{flow.Tick + flow.LateTick + 1, flow.DeadAfter, time.Hour} {
		w := newWatch()
		w.tick(4 * time.Second)
		w.Unheard(w.now)
		w.now += asleep
		woke := w.now
		if p := w.Tick(w.now); p != flow.Beat {
			t.Fatalf("after %v of sleep: pulse %d, want a heartbeat first", asleep, p)
		}
		if p := w.Unheard(w.now); p != flow.Quiet {
			t.Fatalf("after %v of sleep: pulse %d, want another heartbeat first", asleep, p)
		}
		w.tick(flow.Tick)
		if p, _ := w.tick(time.Minute); p != flow.Dead || w.now-woke != flow.DeadAfter {
			t.Errorf("after %v of sleep: pulse %d after another %v", asleep, p, w.now-woke)
		}
	}
}

func TestATickThatIsABitLateStillJudges(t *testing.T) {
	w := newWatch()
	w.tick(4 * time.Second)
	w.now += flow.Tick + flow.LateTick
	if p := w.Tick(w.now); p != flow.Dead {
		t.Errorf("pulse %d after %v of silence", p, 4*time.Second+flow.Tick+flow.LateTick)
	}
}

func TestTwoHeartbeatsThatNobodyReceivesAreADeath(t *testing.T) {
	w := newWatch()
	w.tick(time.Second)
	if p := w.Unheard(w.now); p != flow.Quiet {
		t.Fatalf("pulse %d after the first", p)
	}
	if p, _ := w.tick(flow.Tick); p != flow.Beat {
		t.Fatalf("pulse %d at the next tick, want another heartbeat", p)
	}
	if p := w.Unheard(w.now); p != flow.Dead {
		t.Errorf("pulse %d after the second", p)
	}
}

func TestOneHeartbeatThatNobodyReceivesIsNoDeathHoweverOftenItIsSaid(t *testing.T) {
	w := newWatch()
	w.tick(time.Second)
	for range 5 {
		if p := w.Unheard(w.now); p != flow.Quiet {
			t.Fatalf("pulse %d", p)
		}
	}
}

func TestAPeerThatIsHeardBetweenIsNotDoubted(t *testing.T) {
	w := newWatch()
	for range 5 {
		if p := w.Unheard(w.now); p != flow.Quiet {
			t.Fatalf("pulse %d", p)
		}
		w.tick(flow.Tick)
		w.Heard(w.now)
	}
}

func TestWhileAReconnectSettlesNobodyThereProvesNothing(t *testing.T) {
	w := newWatch()
	w.tick(4 * time.Second)
	w.Unheard(w.now)
	if p := w.Reconnected(w.now); p != flow.Beat {
		t.Fatalf("pulse %d on a reconnect, want a heartbeat", p)
	}
	for range int(flow.SettleTime / flow.Tick) {
		if p := w.Unheard(w.now); p != flow.Quiet {
			t.Fatalf("pulse %d while it settles", p)
		}
		w.tick(flow.Tick)
	}
	if p := w.Unheard(w.now - 1); p != flow.Quiet {
		t.Fatalf("pulse %d just before it has settled", p)
	}
	if p := w.Unheard(w.now); p != flow.Quiet {
		t.Fatalf("pulse %d: what came before does not count", p)
	}
	w.tick(flow.Tick)
	if p := w.Unheard(w.now); p != flow.Dead {
		t.Errorf("pulse %d after two when it has settled", p)
	}
}

func TestSilenceAfterAReconnectIsADeathToo(t *testing.T) {
	w := newWatch()
	w.tick(4 * time.Second) // of silence, which was ours
	w.Reconnected(w.now)
	start := w.now
	if p, _ := w.tick(time.Minute); p != flow.Dead || w.now-start != flow.DeadAfter {
		t.Errorf("pulse %d after %v", p, w.now-start)
	}
}

// The scenarios of the catalogue about heartbeats, with the times that are ours:
// one a second, and death after 5 s of silence.
func TestScenariosOfHeartbeats(t *testing.T) {
	for _, s := range []struct {
		name string
		run  func(*testing.T, *watch)
	}{
		{"S180 a peer that is silent is dead after 5 s and 4 heartbeats without an answer", func(t *testing.T, w *watch) {
			start := w.now
			if p, beats := w.tick(time.Minute); p != flow.Dead || beats != 4 || w.now-start != 5*time.Second {
				t.Errorf("pulse %d after %d heartbeats in %v", p, beats, w.now-start)
			}
		}},
		{"S181 a stall of our own of 25 s kills no peer that is well", func(t *testing.T, w *watch) {
			w.now += 25 * time.Second
			if p := w.Tick(w.now); p != flow.Beat {
				t.Errorf("pulse %d", p)
			}
			for range 20 {
				w.Heard(w.now)
				if p, _ := w.tick(time.Second); p == flow.Dead {
					t.Fatal("dead, though it was heard")
				}
			}
		}},
		{"S183 a peer that sends no heartbeat but a message every 2.5 s lives for 20 s", func(t *testing.T, w *watch) {
			for range 8 {
				if p, _ := w.tick(2500 * time.Millisecond); p == flow.Dead {
					t.Fatal("dead, though it was heard")
				}
				w.Heard(w.now)
			}
		}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, newWatch()) })
	}
}
