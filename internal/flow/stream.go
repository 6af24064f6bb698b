// SPDX-License-Identifier: Apache-2.0

package flow

// A Sender numbers the frames of one stream and counts its updates. Frames are
// numbered from 1.
type Sender struct {
	Credit Allowance
	seq    uint64
	count  uint64
	ended  bool
}

// Next numbers a frame that carries updates updates and costs nothing.
func (s *Sender) Next(updates int) (seq uint64) {
	s.seq++
	s.count += uint64(updates)
	return s.seq
}

// Pay numbers a frame that carries updates updates and costs cost. It reports
// false, and numbers nothing, without the credit for it.
func (s *Sender) Pay(cost uint64, updates int) (seq uint64, ok bool) {
	if !s.Credit.Use(cost) {
		return 0, false
	}
	return s.Next(updates), true
}

// End numbers the last frame and returns the count of updates before it. It
// reports false if the stream had ended.
func (s *Sender) End() (seq, count uint64, ok bool) {
	if s.ended {
		return 0, 0, false
	}
	s.ended = true
	return s.Next(0), s.count, true
}

// Ended reports whether End was called.
func (s *Sender) Ended() bool { return s.ended }

// Seq is the number of the last frame.
func (s *Sender) Seq() uint64 { return s.seq }

// A Verdict says what to do with a frame.
type Verdict uint8

// The verdicts.
const (
	Deliver Verdict = iota + 1
	Repeat          // seen before: drop it
	Gap             // frames before it are missing: the stream is lost
	Overrun         // beyond the credit: the peer is broken, the stream is lost
	Late            // after the end: drop it
)

func (v Verdict) String() string {
	return [...]string{"?", "deliver", "repeat", "gap", "overrun", "late"}[v]
}

// A Receiver judges the frames of one stream as they arrive.
type Receiver struct {
	Window Window
	seq    uint64
	ended  bool
}

// Frame judges frame number seq, which costs cost; 0 is a frame that needs no
// credit. Only frames that are to be delivered count.
func (r *Receiver) Frame(seq, cost uint64) Verdict {
	switch {
	case r.ended:
		return Late
	case seq <= r.seq:
		return Repeat
	case seq > r.seq+1:
		return Gap
	case cost > 0 && !r.Window.Take(cost):
		return Overrun
	}
	r.seq = seq
	return Deliver
}

// End judges the last frame.
func (r *Receiver) End(seq uint64) Verdict {
	v := r.Frame(seq, 0)
	r.ended = r.ended || v == Deliver
	return v
}

// Ended reports whether the last frame was delivered.
func (r *Receiver) Ended() bool { return r.ended }

// Seq is the number of the last frame delivered.
func (r *Receiver) Seq() uint64 { return r.seq }

// Published judges a heartbeat's word that frame seq was published before it.
// The paths of both are one and ordered, so what is not here by now is lost.
func (r *Receiver) Published(seq uint64) Verdict {
	if seq > r.seq && !r.ended {
		return Gap
	}
	return Deliver
}
