// SPDX-License-Identifier: Apache-2.0

package micro

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"
)

func testConfig() Config {
	return Config{
		ID:          "Zk3",
		Name:        "market",
		Version:     "1.4.0",
		Description: "prices and trades",
		Metadata:    map[string]string{"region": "eu"},
		Started:     time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600)),
		Endpoints: []Endpoint{
			{Name: "market.prices.v1", Subject: "market.prices.v1", QueueGroup: "q", Metadata: map[string]string{"kind": "state"}},
			{Name: "market.prices.v2", Subject: "market.prices.v2", QueueGroup: "q"},
		},
	}
}

func newService(t *testing.T, c Config) *Service {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask decodes the answer as a tool does, and refuses fields that the tool's
// type does not have.
func ask[T any](t *testing.T, s *Service, subject string) (answer T) {
	t.Helper()
	body, err := s.Answer(subject)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		t.Fatalf("%s: %v in %s", subject, err, body)
	}
	return answer
}

func TestAServiceIsAskedOnNineSubjects(t *testing.T) {
	want := []string{
		"$SRV.PING", "$SRV.PING.market", "$SRV.PING.market.Zk3",
		"$SRV.INFO", "$SRV.INFO.market", "$SRV.INFO.market.Zk3",
		"$SRV.STATS", "$SRV.STATS.market", "$SRV.STATS.market.Zk3",
	}
	s := newService(t, testConfig())
	if got := s.Subjects(); !slices.Equal(got, want) {
		t.Errorf("subjects %q, want %q", got, want)
	}
	types := map[string]string{"PING": micro.PingResponseType, "INFO": micro.InfoResponseType, "STATS": micro.StatsResponseType}
	for _, subject := range want {
		body, err := s.Answer(subject)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Type string }
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		if verb := strings.Split(subject, ".")[1]; answer.Type != types[verb] {
			t.Errorf("%s answers with a %q", subject, answer.Type)
		}
	}
}

func TestAQuestionToAnotherServiceIsAnError(t *testing.T) {
	s := newService(t, testConfig())
	for _, subject := range []string{
		"", "$SRV", "$SRV.", "$SRV.PING.", "$SRV.PING.other", "$SRV.PING.market.other", "$SRV.PING.market.Zk3.more", "$SRV.PONG", "$srv.ping", "market.prices.v1",
	} {
		if body, err := s.Answer(subject); err == nil {
			t.Errorf("%q is answered with %s", subject, body)
		} else if !strings.Contains(err.Error(), "market.Zk3") {
			t.Errorf("%q: the error %q does not say whom it reached", subject, err)
		}
	}
}

func TestPingTellsWhoIsThere(t *testing.T) {
	got := ask[micro.Ping](t, newService(t, testConfig()), "$SRV.PING")
	if got.Name != "market" || got.ID != "Zk3" || got.Version != "1.4.0" || !maps.Equal(got.Metadata, map[string]string{"region": "eu"}) {
		t.Errorf("%+v", got)
	}
}

func TestInfoTellsTheEndpoints(t *testing.T) {
	got := ask[micro.Info](t, newService(t, testConfig()), "$SRV.INFO.market")
	if got.Description != "prices and trades" || len(got.Endpoints) != 2 {
		t.Fatalf("%+v", got)
	}
	e := got.Endpoints[0]
	if e.Name != "market-prices-v1" || e.Subject != "market.prices.v1" || e.QueueGroup != "q" || e.Metadata["kind"] != "state" {
		t.Errorf("%+v", e)
	}
}

func TestAnswersOfAnEmptyServiceHaveNoNulls(t *testing.T) {
	s := newService(t, Config{ID: "a", Name: "b", Version: "0.0.0"})
	for _, subject := range s.Subjects() {
		body, err := s.Answer(subject)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), "null") {
			t.Errorf("%s: %s", subject, body)
		}
	}
}

func TestADrainingServiceSaysSo(t *testing.T) {
	c := testConfig()
	s := newService(t, c)
	if got := ask[micro.Ping](t, s, "$SRV.PING"); got.Metadata[DrainingKey] != "" {
		t.Errorf("draining before Drain: %v", got.Metadata)
	}
	s.Drain()
	for _, subject := range []string{"$SRV.PING", "$SRV.INFO", "$SRV.STATS"} {
		body, err := s.Answer(subject)
		if err != nil {
			t.Fatal(err)
		}
		var got micro.ServiceIdentity
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if got.Metadata[DrainingKey] != "true" || got.Metadata["region"] != "eu" {
			t.Errorf("%s: metadata %v", subject, got.Metadata)
		}
	}
	if len(c.Metadata) != 1 {
		t.Errorf("Drain changed the Config's metadata: %v", c.Metadata)
	}
}

func TestAServiceKeepsCopiesOfItsConfig(t *testing.T) {
	c := testConfig()
	s := newService(t, c)
	if c.Endpoints[0].Name != "market.prices.v1" {
		t.Errorf("New renamed the Config's endpoint to %q", c.Endpoints[0].Name)
	}
	c.Metadata["region"] = "us"
	c.Endpoints[0].Metadata["kind"] = "pipe"
	c.Endpoints[0].Subject = "elsewhere"
	s.Subjects()[0] = "elsewhere"
	got := ask[micro.Info](t, s, "$SRV.INFO")
	if got.Metadata["region"] != "eu" || got.Endpoints[0].Metadata["kind"] != "state" || got.Endpoints[0].Subject != "market.prices.v1" {
		t.Errorf("%+v", got)
	}
	if s.Subjects()[0] != "$SRV.PING" {
		t.Error("a change of the subjects that it returned reached the service")
	}
}
