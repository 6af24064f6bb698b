// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"math"
	"testing"

	"github.com/durabus/durabus/internal/flow"
)

func TestAnAllowanceIsATotal(t *testing.T) {
	var a flow.Allowance
	if a.Fits(1) || a.Use(1) || a.Used() != 0 {
		t.Error("the zero Allowance allows something")
	}
	for _, s := range []struct {
		grant, use uint64
		granted    bool
		fits       bool
		limit      uint64
		used       uint64
	}{
		{grant: 100, use: 60, granted: true, fits: true, limit: 100, used: 60},
		{grant: 100, use: 41, granted: true, fits: false, limit: 100, used: 60}, // repeated
		{grant: 100, use: 40, granted: true, fits: true, limit: 100, used: 100},
		{grant: 99, use: 1, granted: false, fits: false, limit: 100, used: 100}, // late
		{grant: 50, use: 0, granted: false, fits: true, limit: 100, used: 100},
		{grant: 300, use: 200, granted: true, fits: true, limit: 300, used: 300}, // one was lost
		{grant: math.MaxUint64, use: math.MaxUint64, granted: true, fits: false, limit: math.MaxUint64, used: 300},
	} {
		if got := a.Grant(s.grant); got != s.granted {
			t.Errorf("Grant(%d) = %t", s.grant, got)
		}
		if fits, used := a.Fits(s.use), a.Use(s.use); fits != s.fits || used != s.fits {
			t.Errorf("of %d after Grant(%d): Fits(%d) = %t, Use = %t", a.Limit(), s.grant, s.use, fits, used)
		}
		if a.Limit() != s.limit || a.Used() != s.used {
			t.Errorf("after Grant(%d) and Use(%d): %d of %d used, want %d of %d", s.grant, s.use, a.Used(), a.Limit(), s.used, s.limit)
		}
	}
}

func TestAWindowHoldsNoMoreThanItsSize(t *testing.T) {
	w := flow.NewWindow(100, 100, 7)
	if w.Granted() != 107 || w.Held() != 0 || w.Outstanding() != 100 {
		t.Fatalf("a new window: granted %d, held %d, outstanding %d", w.Granted(), w.Held(), w.Outstanding())
	}
	if w.Take(101) || w.Held() != 0 {
		t.Error("more than the credit was taken")
	}
	if !w.Take(100) || w.Held() != 100 || w.Outstanding() != 0 || w.Take(1) {
		t.Errorf("after all was taken: held %d, outstanding %d", w.Held(), w.Outstanding())
	}
	if w.Release(49) {
		t.Error("a grant is due for less than half of the window")
	}
	if !w.Release(1) {
		t.Error("no grant is due for half of the window")
	}
	if w.Granted() != 107 || w.Take(1) {
		t.Error("credit was given before it was granted")
	}
	if w.Grant() != 157 || w.Granted() != 157 || w.Grant() != 157 {
		t.Errorf("granted %d, want 157", w.Granted())
	}
	if w.Release(1000); w.Held() != 0 || w.Grant() != 207 {
		t.Errorf("more was released than held: held %d, granted %d", w.Held(), w.Granted())
	}
}

// A way on which a window's worth of frames is under way when it is full takes
// one frame in each step, and a grant takes as long to come back.
func TestMostOfALargeWindowIsUnderWayOnALongWay(t *testing.T) {
	const (
		size, cost = 8 << 20, 64 << 10
		there      = size / cost / 2 // steps
		steps      = 100 * there
	)
	w := flow.NewWindow(size, size, 0)
	var a flow.Allowance
	a.Grant(w.Granted())
	frames, grants := map[int]bool{}, map[int]uint64{}
	sent, told := 0, 0
	for now := range steps {
		a.Grant(max(a.Limit(), grants[now]))
		if a.Use(cost) {
			sent++
			frames[now+there] = true
		}
		if frames[now] && w.Take(cost) && w.Release(cost) {
			told++
			grants[now+there] = w.Grant()
		}
	}
	if sent < steps*8/10 {
		t.Errorf("%d frames in the time of %d", sent, steps)
	}
	if most := sent * cost >> 20; told > most {
		t.Errorf("%d grants for %d MiB", told, most)
	}
}

func TestAGrantIsDueForHalfAWindowOrAMiBOrAnEighth(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for size, due := range map[uint64]uint64{256 * kib: 128 * kib, mib: 512 * kib, 4 * mib: mib, 8 * mib: mib, 72 * mib: 9 * mib} {
		w := flow.NewWindow(size, size, 0)
		w.Take(size)
		if w.Release(due - 1) {
			t.Errorf("of %d KiB a grant is due for less than %d", size/kib, due/kib)
		}
		if !w.Release(1) {
			t.Errorf("of %d KiB no grant is due for %d", size/kib, due/kib)
		}
	}
}

func TestAWindowGrowsOnlyWhereItIsWhatTheSenderWaitsFor(t *testing.T) {
	w := flow.NewWindow(100, 350, 0)
	w.Take(100)
	if w.Starved() {
		t.Error("starved, though the sender did not say that it waits")
	}
	w.Want()
	if w.Release(99); w.Starved() {
		t.Error("starved, though the reader holds something")
	}
	if w.Release(1); !w.Starved() {
		t.Error("not starved, though the sender waits and nothing is held")
	}
	for _, want := range []struct{ growth, size uint64 }{{100, 200}, {150, 350}, {0, 350}} {
		if got := w.Growth(); got != want.growth {
			t.Errorf("Growth = %d, want %d", got, want.growth)
		}
		if w.Grow(); w.Size() != want.size || w.Starved() {
			t.Errorf("after Grow: size %d, want %d; starved %t", w.Size(), want.size, w.Starved())
		}
		w.Want()
	}
	if w.Starved() {
		t.Error("a window of its maximal size is starved")
	}
	if w.Grant() != 450 {
		t.Errorf("granted %d, want 450", w.Granted())
	}
}

func TestWhatWasLostOnItsWayIsGivenBack(t *testing.T) {
	w := flow.NewWindow(100, 100, 0)
	w.Take(40) // of 100 that were sent
	if !w.Sync(100) {
		t.Error("no grant is due though more than half of the window was lost")
	}
	if w.Held() != 40 || w.Outstanding() != 0 {
		t.Errorf("held %d, outstanding %d", w.Held(), w.Outstanding())
	}
	if w.Grant() != 160 {
		t.Errorf("granted %d, want 160", w.Granted())
	}
	if w.Sync(70) || w.Held() != 40 || w.Outstanding() != 60 {
		t.Errorf("an old word changed something: held %d, outstanding %d", w.Held(), w.Outstanding())
	}
	if w.Sync(math.MaxUint64); w.Take(1) {
		t.Error("a sender that claims to have sent more than it might got credit for it")
	}
}

func TestAFrameCostsItsPayloadAndAMessage(t *testing.T) {
	if got := flow.Cost(1000); got != 1128 {
		t.Errorf("a frame of 1,000 bytes costs %d", got)
	}
}
