// SPDX-License-Identifier: Apache-2.0

package flow

import "testing"

// A creditRun is a sender and a receiver with a network between them that loses,
// repeats and delays grants, but keeps data in order.
type creditRun struct {
	t        *testing.T
	w        Window
	a        Allowance
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
		r := creditRun{t: t, w: NewWindow(n, 4*n, 5), size: n}
		r.a.Grant(5)
		r.a.Use(5)
		r.a.Grant(r.w.Granted())
		for _, b := range steps {
			r.step(b)
		}
		r.settle()
	})
}
