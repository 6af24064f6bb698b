// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"testing"

	"github.com/durabus/durabus/internal/flow"
)

func TestASenderNumbersFramesAndCountsUpdates(t *testing.T) {
	var s flow.Sender
	if seq := s.Next(0); seq != 1 || s.Seq() != 1 {
		t.Errorf("the first frame has number %d", seq)
	}
	if _, ok := s.Pay(10, 3); ok || s.Seq() != 1 {
		t.Error("a frame was numbered without credit")
	}
	s.Credit.Grant(10)
	if seq, ok := s.Pay(10, 3); seq != 2 || !ok {
		t.Errorf("Pay = %d, %t", seq, ok)
	}
	if _, ok := s.Pay(1, 1); ok || s.Credit.Used() != 10 {
		t.Errorf("a frame was paid twice from the same credit, of which %d is used", s.Credit.Used())
	}
	if s.Next(1); s.Ended() {
		t.Error("ended before End")
	}
	if seq, count, ok := s.End(); seq != 4 || count != 4 || !ok || !s.Ended() {
		t.Errorf("End = %d, %d, %t", seq, count, ok)
	}
	if _, _, ok := s.End(); ok || s.Seq() != 4 {
		t.Error("a stream ended twice")
	}
}

func TestAReceiverTakesEachFrameOnceAndInOrder(t *testing.T) {
	type frame struct {
		seq, cost uint64
		end       bool
		want      flow.Verdict
	}
	for name, frames := range map[string][]frame{
		"in order":           {{seq: 1, want: flow.Deliver}, {seq: 2, cost: 10, want: flow.Deliver}, {seq: 3, end: true, want: flow.Deliver}},
		"without a number":   {{seq: 0, want: flow.Repeat}},
		"repeated":           {{seq: 1, want: flow.Deliver}, {seq: 1, want: flow.Repeat}, {seq: 2, want: flow.Deliver}, {seq: 1, want: flow.Repeat}},
		"missing":            {{seq: 1, want: flow.Deliver}, {seq: 3, want: flow.Gap}, {seq: 2, want: flow.Deliver}},
		"first missing":      {{seq: 2, want: flow.Gap}},
		"end after a gap":    {{seq: 1, want: flow.Deliver}, {seq: 3, end: true, want: flow.Gap}, {seq: 2, want: flow.Deliver}},
		"end repeated":       {{seq: 1, end: true, want: flow.Deliver}, {seq: 1, end: true, want: flow.Late}},
		"end of old":         {{seq: 1, want: flow.Deliver}, {seq: 1, end: true, want: flow.Repeat}, {seq: 2, want: flow.Deliver}},
		"after the end":      {{seq: 1, end: true, want: flow.Deliver}, {seq: 2, want: flow.Late}},
		"beyond credit":      {{seq: 1, cost: 101, want: flow.Overrun}, {seq: 1, cost: 100, want: flow.Deliver}, {seq: 2, cost: 1, want: flow.Overrun}},
		"an end costs not":   {{seq: 1, cost: 100, want: flow.Deliver}, {seq: 2, end: true, want: flow.Deliver}},
		"a repeat costs not": {{seq: 1, cost: 100, want: flow.Deliver}, {seq: 1, cost: 100, want: flow.Repeat}, {seq: 2, want: flow.Deliver}},
		"a gap costs not":    {{seq: 2, cost: 100, want: flow.Gap}, {seq: 1, cost: 100, want: flow.Deliver}},
	} {
		t.Run(name, func(t *testing.T) {
			r := flow.Receiver{Window: flow.NewWindow(100, 100, 0)}
			for i, f := range frames {
				judge := func(seq uint64) flow.Verdict { return r.Frame(seq, f.cost) }
				if f.end {
					judge = r.End
				}
				before := r.Seq()
				got := judge(f.seq)
				if got != f.want {
					t.Fatalf("step %d, frame %d: %v, want %v", i, f.seq, got, f.want)
				}
				if delivered := r.Seq() != before; delivered != (got == flow.Deliver) {
					t.Fatalf("step %d: %v, and the last frame went from %d to %d", i, got, before, r.Seq())
				}
				if f.end && r.Ended() != (got != flow.Gap && got != flow.Repeat) {
					t.Fatalf("step %d: after an end, ended is %t", i, r.Ended())
				}
			}
		})
	}
}

func TestAHeartbeatTellsOfLostFrames(t *testing.T) {
	r := flow.Receiver{Window: flow.NewWindow(100, 100, 0)}
	r.Frame(1, 0)
	r.Frame(2, 0)
	for seq, want := range map[uint64]flow.Verdict{0: flow.Deliver, 1: flow.Deliver, 2: flow.Deliver, 3: flow.Gap} {
		if got := r.Published(seq); got != want {
			t.Errorf("Published(%d) = %v with 2 here, want %v", seq, got, want)
		}
	}
	if r.End(3); r.Published(9) != flow.Deliver {
		t.Error("a heartbeat after the end tells of loss")
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for v := flow.Deliver; v <= flow.Late; v++ {
		if s := v.String(); s == "" || s == "?" || seen[s] {
			t.Errorf("verdict %d is called %q", v, s)
		}
		seen[v.String()] = true
	}
}
