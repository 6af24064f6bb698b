// SPDX-License-Identifier: Apache-2.0

package flow

import "testing"

// FuzzStream sends a stream of n updates over a wire that drops, repeats and
// swaps frames. What is delivered is always a beginning of what was sent, and
// only a whole stream ends.
func FuzzStream(f *testing.F) {
	f.Add(byte(5), []byte{})
	f.Add(byte(5), []byte{0, 1, 2, 3})
	f.Add(byte(3), []byte{0, 0, 3, 0, 0})
	f.Add(byte(9), []byte{2, 2, 1, 1, 3, 3, 0, 1, 0, 2, 0, 3})
	f.Fuzz(func(t *testing.T, n byte, harm []byte) {
		var s Sender
		s.Credit.Grant(1 << 20)
		r := Receiver{Window: NewWindow(1<<20, 1<<20, 0)}
		type frame struct {
			seq   uint64
			count uint64
			end   bool
		}
		var wire []frame
		for range n {
			seq, _ := s.Pay(1, 1)
			wire = append(wire, frame{seq: seq})
		}
		seq, count, _ := s.End()
		wire = append(wire, frame{seq: seq, count: count, end: true})
		for i, h := range harm {
			if i+1 >= len(wire) {
				break
			}
			switch h & 3 {
			case 1:
				wire = append(wire[:i:i], wire[i+1:]...)
			case 2:
				wire = append(wire[:i+1:i+1], wire[i:]...)
			case 3:
				wire[i], wire[i+1] = wire[i+1], wire[i]
			}
		}
		delivered := uint64(0)
		for _, f := range wire {
			if f.end {
				if r.End(f.seq) == Deliver && f.count != delivered {
					t.Fatalf("the stream ended whole after %d of %d updates", delivered, f.count)
				}
				continue
			}
			switch r.Frame(f.seq, 1) {
			case Deliver:
				if delivered++; f.seq != delivered {
					t.Fatalf("frame %d was delivered as number %d", f.seq, delivered)
				}
			case Overrun:
				t.Fatal("a frame within the credit was refused")
			}
		}
		if !r.Ended() && r.Published(s.Seq()) != Gap {
			t.Fatal("neither did the stream end nor does a heartbeat tell that frames are missing")
		}
	})
}

// FuzzReceiver is the end of a stream whose sender may say anything: any number, any
// cost, any end. Whatever that is, frames are delivered in order, each once, nothing
// behind the end, and never more is held than the window has room for.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 0, 0, 8, 16, 3, 1, 4, 5, 6, 2, 0}, uint64(0))
	f.Add([]byte{0, 0xff, 3, 0xfe, 6, 0xff, 0, 0xfd, 1, 0xff, 5, 0xfe}, uint64(1<<64-1))
	f.Add([]byte{0x20, 0x20, 3, 3, 0x78, 4, 0x20, 0x20, 5, 0xf8}, uint64(1<<63))
	f.Fuzz(func(t *testing.T, steps []byte, used uint64) {
		const size = 100
		r := Receiver{Window: NewWindow(size, 4*size, used)}
		delivered, held, ended := uint64(0), uint64(0), false
		for _, b := range steps {
			n := uint64(b >> 3)
			if n >= 24 {
				n = 1<<64 - 1 - (n-24)*(1<<61) // the ends of the range
			}
			switch b & 7 {
			case 0, 1: // the next, or another
				seq := delivered + 1
				if b&7 == 1 {
					seq = n
				}
				room := r.Window.Outstanding()
				v := r.Frame(seq, n)
				if (v == Deliver) != (!ended && seq == delivered+1 && n <= room) {
					t.Fatalf("frame %d behind %d of cost %d: %v; ended %t", seq, delivered, n, v, ended)
				}
				if v == Deliver {
					delivered, held = seq, held+n
				}
			case 2:
				v := r.End(delivered + n)
				if (v == Deliver) != (!ended && n == 1) {
					t.Fatalf("end %d behind %d: %v; ended %t", delivered+n, delivered, v, ended)
				}
				if v == Deliver {
					delivered, ended = delivered+n, true
				}
			case 3:
				done := min(n, held)
				if held -= done; r.Window.Release(done) {
					r.Window.Grant()
				}
			case 4:
				if r.Window.Want(); r.Window.Starved() {
					r.Window.Grow()
					r.Window.Grant()
				}
			case 5:
				r.Published(n)
			case 6: // it says what it has sent, of which what is not here was lost
				if r.Window.Sync(n) {
					r.Window.Grant()
				}
			}
			w := &r.Window
			if w.Held() != held || w.Size() > 4*size || held+w.Outstanding() > w.Size() {
				t.Fatalf("%d held, %d by the window, %d outstanding of %d", held, w.Held(), w.Outstanding(), w.Size())
			}
			if r.Seq() != delivered || r.Ended() != ended {
				t.Fatalf("at %d, ended %t; want %d, %t", r.Seq(), r.Ended(), delivered, ended)
			}
		}
	})
}
