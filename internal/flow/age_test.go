// SPDX-License-Identifier: Apache-2.0

package flow_test

import (
	"math"
	"testing"
	"time"

	"github.com/durabus/durabus/internal/flow"
)

func TestARequestIsAsOldAsItTookLongerThanTheFastest(t *testing.T) {
	var transit flow.Transit
	const skew = 1000 * time.Hour // between the two clocks
	for i, r := range []struct{ sent, took, age time.Duration }{
		{0, 50 * time.Millisecond, 0}, // the first is the fastest so far
		{time.Second, 70 * time.Millisecond, 20 * time.Millisecond},
		{2 * time.Second, 10 * time.Millisecond, 0}, // a faster one
		{3 * time.Second, 70 * time.Millisecond, 60 * time.Millisecond},
		{4 * time.Second, 3 * time.Second, 2990 * time.Millisecond},
		{5 * time.Second, 10 * time.Millisecond, 0},
	} {
		if got := transit.Age(r.sent, r.sent+skew+r.took); got != r.age {
			t.Errorf("request %d: age %v, want %v", i+1, got, r.age)
		}
	}
	transit.Forget()
	if got := transit.Age(0, skew+time.Hour); got != 0 {
		t.Errorf("the first request after Forget is %v old", got)
	}
}

func TestAClockAheadOfOursIsNoAge(t *testing.T) {
	var transit flow.Transit
	if got := transit.Age(time.Hour, time.Second); got != 0 {
		t.Errorf("age %v", got)
	}
	if got := transit.Age(time.Hour+time.Second, 2*time.Second+time.Millisecond); got != time.Millisecond {
		t.Errorf("age %v", got)
	}
}

func TestARequestExpiresWhenNobodyWaitsForIt(t *testing.T) {
	for _, c := range []struct {
		age, left time.Duration
		want      bool
	}{
		{0, 0, false},
		{0, time.Nanosecond, false},
		{time.Second, 0, false},
		{time.Second, time.Second + 1, false},
		{time.Second, time.Second, true},
		{time.Second, time.Millisecond, true},
		{flow.MaxAge, 0, false},
		{flow.MaxAge + 1, 0, true},
		{flow.MaxAge + 1, time.Hour, true},
	} {
		if got := flow.Expired(c.age, c.left); got != c.want {
			t.Errorf("Expired(%v, %v) = %t", c.age, c.left, got)
		}
	}
}

func TestACallIsFirstOnce(t *testing.T) {
	for name, calls := range map[string][]struct {
		call uint64
		want bool
	}{
		"in order":                    {{1, true}, {2, true}, {3, true}, {3, false}, {1, false}},
		"number 0":                    {{0, true}, {0, false}},
		"late":                        {{5, true}, {3, true}, {4, true}, {3, false}, {5, false}},
		"as late as can be":           {{1024, true}, {1, true}, {1, false}},
		"too late":                    {{1025, true}, {1, false}},
		"passed over once":            {{1, true}, {1025, true}, {2, true}, {2, false}, {1, false}},
		"a number's place is free":    {{7, true}, {7 + 1024, true}, {7 + 1024, false}},
		"the one before, again":       {{1, true}, {1026, true}, {1025, true}, {1025, false}},
		"a place is freed in passing": {{2, true}, {1025, true}, {1027, true}, {1026, true}, {1026, false}},
		"at the ends of words":        {{63, true}, {64, true}, {63, false}, {64, false}, {127, true}, {128, true}, {127, false}, {128, false}},
		"a jump":                      {{1, true}, {1 << 60, true}, {1<<60 - 1023, true}, {1<<60 - 1024, false}, {1 << 60, false}},
		"the greatest":                {{math.MaxUint64, true}, {math.MaxUint64, false}, {1, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var s flow.Seen
			for i, c := range calls {
				if got := s.First(c.call); got != c.want {
					t.Fatalf("step %d: First(%d) = %t", i+1, c.call, got)
				}
			}
		})
	}
}

func TestACallIsOldWhereNobodyCanTellWhetherItWasSeen(t *testing.T) {
	var s flow.Seen
	s.First(2000)
	for call, want := range map[uint64]bool{2001: false, 2000: false, 1999: false, 977: false, 976: true, 1: true} {
		if s.Old(call) != want {
			t.Errorf("call %d is old: %t", call, !want)
		}
	}
}
