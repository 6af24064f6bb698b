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

// A creditRun is a sender and a receiver with a network between them that loses,
// repeats and delays grants, but keeps data in order.
type creditRun struct {
	t        *testing.T
	w        flow.Window
	a        flow.Allowance
	size     uint64
	grants   []uint64 // on their way, in any order
	wire     []uint64 // costs of frames on their way
	held     []uint64 // costs of frames that the reader has
	greatest uint64   // Size of the window
}

// step does what one byte says.
func (r *creditRun) step(b byte) {
	n := uint64(b>>3) + 1
	switch b & 7 {
	case 0, 1: // send
		if !r.a.Use(n) {
			r.w.Want()
			return
		}
		r.wire = append(r.wire, n)
	case 2: // arrive
		if len(r.wire) > 0 {
			r.take()
		}
	case 3: // read
		if len(r.held) > 0 {
			r.release()
		}
	case 4: // a grant arrives, whichever
		if len(r.grants) > 0 {
			r.a.Grant(r.grants[int(n)%len(r.grants)])
		}
	case 5: // a grant is lost
		if len(r.grants) > 0 {
			r.grants = r.grants[:len(r.grants)-1]
		}
	case 6: // the newest is repeated, as a heartbeat does
		r.grants = append(r.grants, r.w.Granted())
	case 7: // a frame is lost, which a later heartbeat tells
		if len(r.wire) == 1 {
			r.wire = nil
			if r.w.Sync(r.a.Used()) {
				r.grants = append(r.grants, r.w.Grant())
			}
		}
	}
	r.check()
}

func (r *creditRun) take() {
	if !r.w.Take(r.wire[0]) {
		r.t.Fatalf("a frame of %d within the credit was refused", r.wire[0])
	}
	r.held = append(r.held, r.wire[0])
	r.wire = r.wire[1:]
}

func (r *creditRun) release() {
	due := r.w.Release(r.held[0])
	r.held = r.held[1:]
	if r.w.Starved() {
		r.w.Grow()
		due = true
	}
	if due {
		r.grants = append(r.grants, r.w.Grant())
	}
}

// check holds after each step: nobody is ever beyond what was granted.
func (r *creditRun) check() {
	sum := func(costs []uint64) (n uint64) {
		for _, c := range costs {
			n += c
		}
		return n
	}
	switch held := sum(r.held); {
	case r.a.Used() > r.w.Granted():
		r.t.Fatalf("%d were sent, %d granted", r.a.Used(), r.w.Granted())
	case held != r.w.Held():
		r.t.Fatalf("the window holds %d, the reader %d", r.w.Held(), held)
	case held+sum(r.wire) > r.w.Size():
		r.t.Fatalf("%d held and %d on their way, in a window of %d", held, sum(r.wire), r.w.Size())
	case r.w.Size() > 4*r.size:
		r.t.Fatalf("a window of at most %d grew to %d", 4*r.size, r.w.Size())
	case r.w.Size() < r.greatest:
		r.t.Fatalf("the window shrank from %d to %d", r.greatest, r.w.Size())
	}
	r.greatest = r.w.Size()
}

// settle lets all arrive and be read, and the last grant too: then a frame of
// half a window fits, or the stream would stand still for ever.
func (r *creditRun) settle() {
	for len(r.wire) > 0 {
		r.take()
	}
	for len(r.held) > 0 {
		r.release()
	}
	r.a.Grant(r.w.Granted())
	if half := r.w.Size() / 2; !r.a.Fits(half) {
		r.t.Fatalf("all is consumed, and a frame of %d does not fit: %d of %d used", half, r.a.Used(), r.a.Limit())
	}
}

func FuzzCredit(f *testing.F) {
	f.Add(byte(63), []byte{0xf8, 0xf8, 2, 2, 3, 3, 4, 0xf8})
	f.Add(byte(1), []byte{0, 0, 0, 2, 3, 5, 6, 4, 0, 0, 2, 2, 3, 3})
	f.Add(byte(9), []byte{0x20, 0x21, 0x22, 7, 7, 0x20, 7, 4, 12, 20, 0x20, 2, 3, 6, 4, 0x38})
	f.Add(byte(200), []byte{0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 4, 0xf8, 7, 4, 0xf8, 0xf8})
	f.Fuzz(func(t *testing.T, size byte, steps []byte) {
		n := uint64(size) + 2
		r := creditRun{t: t, w: flow.NewWindow(n, 4*n, 5), size: n}
		r.a.Grant(5)
		r.a.Use(5)
		r.a.Grant(r.w.Granted())
		for _, b := range steps {
			r.step(b)
		}
		r.settle()
	})
}

func TestAFrameCostsItsPayloadAndAMessage(t *testing.T) {
	if got := flow.Cost(1000); got != 1128 {
		t.Errorf("a frame of 1,000 bytes costs %d", got)
	}
}
