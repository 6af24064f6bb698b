// SPDX-License-Identifier: Apache-2.0

package micro

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/micro"
)

func endpointStats(t *testing.T, s *Service, i int) (*micro.EndpointStats, Data) {
	t.Helper()
	stats := ask[micro.Stats](t, s, "$SRV.STATS").Endpoints[i]
	var data Data
	if err := json.Unmarshal(stats.Data, &data); err != nil {
		t.Fatal(err)
	}
	return stats, data
}

func TestFiguresAreExactAfterAThousandConcurrentHandlers(t *testing.T) {
	const each = 50 // requests of every handler, so that they really meet
	s := newService(t, testConfig())
	c := s.Counters(1)
	start := make(chan struct{})
	var handlers sync.WaitGroup
	for i := range 1000 {
		handlers.Go(func() {
			<-start
			for range each {
				request(c, i)
			}
		})
	}
	// Answers in between must not disturb the figures; they may be of any moment.
	for range 2 {
		handlers.Go(func() {
			<-start
			for range 100 {
				if _, err := s.Answer("$SRV.STATS"); err != nil {
					t.Error(err)
				}
				s.Drain()
			}
		})
	}
	close(start)
	handlers.Wait()

	var took time.Duration
	var sent int64
	for i := range 1000 {
		took += each * time.Duration(i) * time.Microsecond
		if i%10 > 2 {
			sent += each * int64(i)
		}
	}
	stats, data := endpointStats(t, s, 1)
	if stats.NumRequests != each*1000 || stats.NumErrors != each*200 {
		t.Errorf("%d requests and %d errors, want %d and %d", stats.NumRequests, stats.NumErrors, each*1000, each*200)
	}
	if average := took / (each * 1000); stats.ProcessingTime != took || stats.AverageProcessingTime != average {
		t.Errorf("processing time %v, average %v, want %v and %v", stats.ProcessingTime, stats.AverageProcessingTime, took, average)
	}
	if e := stats.LastError; e != "500:no such symbol" && e != "429:at the limit of 64" {
		t.Errorf("last error %q", e)
	}
	if want := (Data{StreamsOpen: each * 100, UpdatesSent: sent, Busy: each * 100, ApplicationErrors: each * 100}); data != want {
		t.Errorf("data %+v, want %+v", data, want)
	}
	if stats.Name != "market-prices-v2" || stats.Subject != "market.prices.v2" || stats.QueueGroup != "q" {
		t.Errorf("figures of endpoint %q, subject %q, queue group %q", stats.Name, stats.Subject, stats.QueueGroup)
	}
}

// request counts what the i-th handler does: by its last digit it fails, returns
// an application error, is busy, or serves a stream, which stays open for one
// digit.
func request(c *Counters, i int) {
	took := time.Duration(i) * time.Microsecond
	switch i % 10 {
	case 0:
		c.Verdict("failed", "no such symbol", took)
		return
	case 1:
		c.Verdict("application error", "halted", took)
		return
	case 2:
		c.Verdict("busy", "at the limit of 64", took)
		return
	}
	c.Verdict("", "", took)
	c.Opened()
	c.Blocked()
	c.Sent(i)
	c.Unblocked()
	if i%10 != 3 {
		c.Closed()
	}
}

func TestEndpointsHaveFiguresOfTheirOwn(t *testing.T) {
	s := newService(t, testConfig())
	s.Counters(0).Verdict("panicked", "index out of range", time.Second)
	if stats, _ := endpointStats(t, s, 0); stats.NumRequests != 1 || stats.NumErrors != 1 {
		t.Errorf("%+v", stats)
	}
	if stats, data := endpointStats(t, s, 1); stats.NumRequests != 0 || stats.NumErrors != 0 || stats.LastError != "" ||
		stats.ProcessingTime != 0 || stats.AverageProcessingTime != 0 || data != (Data{}) {
		t.Errorf("an endpoint that was never called has figures: %+v %+v", stats, data)
	}
}

func TestAVerdictCountsByItsCode(t *testing.T) {
	for _, c := range []struct {
		code      string
		errors    int
		lastError string
		data      Data
	}{
		{code: ""},
		{code: "application error", data: Data{ApplicationErrors: 1}},
		{code: "busy", errors: 1, lastError: "429:why", data: Data{Busy: 1}},
		{code: "undecodable", errors: 1, lastError: "400:why"},
		{code: "something new", errors: 1, lastError: "500:why"},
	} {
		s := newService(t, testConfig())
		s.Counters(0).Verdict(c.code, "why", 3*time.Millisecond)
		stats, data := endpointStats(t, s, 0)
		if stats.NumRequests != 1 || stats.ProcessingTime != 3*time.Millisecond {
			t.Errorf("%q: %d requests in %v", c.code, stats.NumRequests, stats.ProcessingTime)
		}
		if stats.NumErrors != c.errors || stats.LastError != c.lastError || data != c.data {
			t.Errorf("%q: %d errors, last %q, data %+v", c.code, stats.NumErrors, stats.LastError, data)
		}
	}
}

func TestBlockedStreamsAreSeenWhileTheyWait(t *testing.T) {
	s := newService(t, testConfig())
	c := s.Counters(0)
	c.Opened()
	c.Opened()
	c.Blocked()
	if _, data := endpointStats(t, s, 0); data.StreamsOpen != 2 || data.StreamsBlocked != 1 {
		t.Errorf("%+v", data)
	}
}

func TestALongErrorIsKeptShort(t *testing.T) {
	s := newService(t, testConfig())
	s.Counters(0).Verdict("failed", strings.Repeat("ü", 10_000), 0)
	stats, _ := endpointStats(t, s, 0)
	if n := len(stats.LastError); n > maxLastError || n < maxLastError-utf8.UTFMax {
		t.Errorf("%d bytes", n)
	}
	if !strings.HasSuffix(stats.LastError, "ü") {
		t.Errorf("cut inside a character: %q", stats.LastError)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	var c Counters
	n := testing.AllocsPerRun(100, func() {
		c.Verdict("", "", time.Millisecond)
		c.Verdict("application error", "halted", time.Millisecond)
		c.Opened()
		c.Blocked()
		c.Sent(3)
		c.Unblocked()
		c.Closed()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
