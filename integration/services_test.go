// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

var (
	payRPC   = unaryrpc.RPC[int, int]{Name: "bank.pay", Version: 3, Errors: declared}
	auditRPC = unaryrpc.RPC[int, int]{Name: "bank.audit", Version: 1}
	feedRPC  = piperpc.RPC[int, int]{Name: "bank.feed", Version: 1}
)

// A bank is a responder whose audits wait until they are let go.
type bank struct {
	nc     *nats.Conn // a tool's
	client *bus.Client
	srv    *bus.Server
	audits chan struct{}
}

func newBank(t *testing.T) *bank {
	url := broker.Run(t, broker.Options{}).URL()
	b := &bank{nc: connect(t, url), client: client(t, url), audits: make(chan struct{})}
	srv, err := bus.Serve(connect(t, url),
		bus.Service{Name: "bank", Version: "1.2.3", Description: "keeps money", Metadata: map[string]string{"region": "eu"}},
		payRPC.Handler(func(_ context.Context, n int) (int, error) {
			switch {
			case n%10 == 1:
				return 0, errors.New("disk full")
			case n%10 == 2:
				return 0, &overdrawn{"acme"}
			}
			return n, nil
		}),
		auditRPC.Handler(func(ctx context.Context, n int) (int, error) {
			select {
			case <-b.audits:
			case <-ctx.Done():
			}
			return n, ctx.Err()
		}),
		feedRPC.Handler(func(_ context.Context, n int) (iter.Seq2[int, error], error) {
			return func(yield func(int, error) bool) {
				for i := 0; yield(i, nil); i++ {
					if i == n {
						<-b.audits
					}
				}
			}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	b.srv = srv
	return b
}

// ask decodes what the service answers on a subject of the services protocol.
func (b *bank) ask(t *testing.T, subject string, v any) {
	t.Helper()
	m, err := b.nc.Request(subject, nil, patience)
	if err != nil {
		t.Fatal(subject, err)
	}
	if err := json.Unmarshal(m.Data, v); err != nil {
		t.Fatal(subject, err)
	}
}

// data is what an endpoint tells beyond ADR-32.
type data struct {
	Open        int `json:"streams_open"`
	Blocked     int `json:"streams_blocked"`
	Updates     int `json:"updates_sent"`
	Busy        int `json:"busy"`
	Application int `json:"application_errors"`
}

func (b *bank) stats(t *testing.T, endpoint string) (*micro.EndpointStats, data) {
	t.Helper()
	var s micro.Stats
	b.ask(t, "$SRV.STATS.bank", &s)
	for _, e := range s.Endpoints {
		if e.Name == endpoint {
			var d data
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			return e, d
		}
	}
	t.Fatalf("no endpoint %s in %+v", endpoint, s)
	return nil, data{}
}

func TestAResponderAnswersTheServicesProtocol(t *testing.T) {
	b := newBank(t)
	var ping micro.Ping
	b.ask(t, "$SRV.PING", &ping)
	if ping.Type != micro.PingResponseType || ping.Name != "bank" || ping.ID != b.srv.Instance() || ping.Version != "1.2.3" || ping.Metadata["region"] != "eu" {
		t.Errorf("PING: %+v", ping)
	}
	var info micro.Info
	b.ask(t, "$SRV.INFO.bank", &info)
	if info.Type != micro.InfoResponseType || info.Description != "keeps money" || info.ID != ping.ID {
		t.Errorf("INFO: %+v", info)
	}
	subjects := map[string]string{}
	for _, e := range info.Endpoints {
		subjects[e.Name] = e.Subject
		if e.QueueGroup == "" || e.Metadata["durabus.kind"] == "" || e.Metadata["durabus.digest"] == "" && e.Name != "durabus-menu-v1" {
			t.Errorf("endpoint %+v", e)
		}
	}
	want := map[string]string{
		"bank-pay-v3": "bank.pay.v3", "bank-audit-v1": "bank.audit.v1", "bank-feed-v1": "bank.feed.v1", "durabus-menu-v1": "durabus.menu.v1",
	}
	for name, subject := range want {
		if subjects[name] != subject {
			t.Errorf("endpoint %s has subject %q, want %q", name, subjects[name], subject)
		}
	}
	if len(subjects) != len(want) {
		t.Errorf("endpoints %v", subjects)
	}
	var stats micro.Stats
	b.ask(t, "$SRV.STATS.bank."+ping.ID, &stats)
	if stats.Type != micro.StatsResponseType || stats.ID != ping.ID || time.Since(stats.Started) > time.Hour {
		t.Errorf("STATS: %+v", stats)
	}
}

func TestFiguresAreExact(t *testing.T) {
	b := newBank(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[bus.Code]int{}
	for i := range 1000 {
		wg.Go(func() {
			_, err := payRPC.Client(b.client)(t.Context(), i%10)
			code := bus.Code("")
			if e, ok := errors.AsType[*bus.Error](err); ok {
				code = e.Code
			}
			mu.Lock()
			defer mu.Unlock()
			got[code]++
		})
	}
	wg.Wait()
	if got[""] != 800 || got[bus.Failed] != 100 || got[bus.Application] != 100 {
		t.Errorf("callers saw %v", got)
	}
	s, d := b.stats(t, "bank-pay-v3")
	if s.NumRequests != 1000 || s.NumErrors != 100 || d.Application != 100 || d.Busy != 0 {
		t.Errorf("%+v, data %+v", s, d)
	}
	if s.LastError != "500:disk full" {
		t.Errorf("last error %q", s.LastError)
	}
	if s.ProcessingTime <= 0 || s.AverageProcessingTime != s.ProcessingTime/1000 {
		t.Errorf("processing time %v, on average %v", s.ProcessingTime, s.AverageProcessingTime)
	}
}

func TestASlowHandlerDoesNotStopAnotherEndpoint(t *testing.T) {
	b := newBank(t)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if n, err := auditRPC.Client(b.client)(t.Context(), i); n != i || err != nil {
				t.Errorf("audit: %d, %v", n, err)
			}
		})
	}
	for i := range 200 {
		if _, err := payRPC.Client(b.client)(t.Context(), 10*i); err != nil {
			t.Fatal(err)
		}
	}
	if s, _ := b.stats(t, "bank-audit-v1"); s.NumRequests != 0 {
		t.Errorf("%d audits counted before their verdict", s.NumRequests)
	}
	close(b.audits)
	wg.Wait()
	if s, _ := b.stats(t, "bank-audit-v1"); s.NumRequests != 100 || s.NumErrors != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheDataOfAnEndpointFollowsItsStreams(t *testing.T) {
	b := newBank(t)
	ctx, cancel := context.WithCancel(t.Context())
	idle, err := feedRPC.Client(b.client)(ctx, 9) // ten updates, then it waits
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(idle)
	defer stop()
	for range 10 {
		if _, err, ok := next(); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, err := feedRPC.Client(b.client)(ctx, -1); err != nil { // endless, and nobody reads it
		t.Fatal(err)
	}
	eventually(t, "two streams, one of them blocked", func() bool {
		s, d := b.stats(t, "bank-feed-v1")
		return d.Open == 2 && d.Blocked == 1 && d.Updates > 10 && s.NumRequests == 2
	})
	cancel()
	close(b.audits)
	eventually(t, "no streams", func() bool {
		_, d := b.stats(t, "bank-feed-v1")
		return d.Open == 0 && d.Blocked == 0
	})
}

// eventually waits until cond holds, which has no event to wait for.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !cond() {
		if pace(ctx, 10*time.Millisecond); ctx.Err() != nil {
			t.Fatalf("within %v there was not: %s", patience, what)
		}
	}
}

func TestAPlainRequestIsAnsweredInJSON(t *testing.T) {
	b := newBank(t)
	for _, c := range []struct {
		name, subject, query, contentType string
		answer                            string
		code, says                        string // of the error
	}{
		{name: "an answer", subject: "bank.pay.v3", query: "40", contentType: "application/json", answer: "40"},
		{name: "the menu", subject: "durabus.menu.v1", contentType: "application/json", answer: `"name":"bank.pay","version":3`},
		{name: "a handler's error", subject: "bank.pay.v3", query: "1", contentType: "application/json", code: "500", says: "failed: disk full"},
		{name: "a declared error", subject: "bank.pay.v3", query: "2", contentType: "application/json", code: "422", says: "acme is overdrawn"},
		{name: "a query that is not JSON", subject: "bank.pay.v3", query: "{", contentType: "application/json", code: "400", says: "undecodable: the query"},
		{name: "another content type", subject: "bank.pay.v3", query: "1", contentType: "text/plain", code: "400", says: "undecodable"},
		{name: "a stream", subject: "bank.feed.v1", query: "1", contentType: "application/json", code: "400", says: "durabus watch"},
		{name: "no content type", subject: "bank.pay.v3", query: "40", code: "400", says: "Content-Type: application/json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := nats.NewMsg(c.subject)
			m.Data = []byte(c.query)
			if c.contentType != "" {
				m.Header.Set("Content-Type", c.contentType)
			}
			got, err := b.nc.RequestMsg(m, patience)
			if err != nil {
				t.Fatal(err)
			}
			says, code := got.Header.Get(micro.ErrorHeader), got.Header.Get(micro.ErrorCodeHeader)
			if code != c.code || !strings.Contains(says, c.says) || (says == "") != (c.code == "") {
				t.Errorf("code %q, error %q; want %q, %q", code, says, c.code, c.says)
			}
			if c.code == "" && !strings.Contains(string(got.Data), c.answer) {
				t.Errorf("answer %q, want %q", got.Data, c.answer)
			}
		})
	}
	if s, d := b.stats(t, "bank-pay-v3"); s.NumRequests != 5 || s.NumErrors != 3 || d.Application != 1 {
		t.Errorf("%+v, data %+v", s, d)
	}
}
