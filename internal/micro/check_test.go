// SPDX-License-Identifier: Apache-2.0

package micro

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"
)

func TestAnIncorrectConfigIsRefusedBySayingWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.Name = "" }, `service name ""`},
		{func(c *Config) { c.Name = "mar ket" }, `service name "mar ket": it must be one or more letters`},
		{func(c *Config) { c.Name = "mar.ket" }, `service name "mar.ket"`},
		{func(c *Config) { c.Name = "market\n" }, `service name "market\n"`},
		{func(c *Config) { c.ID = "" }, `service market: id ""`},
		{func(c *Config) { c.ID = "a.b" }, `service market: id "a.b"`},
		{func(c *Config) { c.Version = "1.4" }, `service market: version "1.4" is not a semantic version`},
		{func(c *Config) { c.Endpoints[1].Name = "" }, "endpoint 1 has no name"},
		{func(c *Config) { c.Endpoints[1].Subject = "" }, "endpoint market.prices.v2 has no subject"},
	} {
		config := testConfig()
		c.change(&config)
		s, err := New(config)
		if err == nil || s != nil {
			t.Errorf("accepted; want %q", c.says)
		} else if !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %q, want %q", err, c.says)
		}
	}
}

func TestVersionsAreSemantic(t *testing.T) {
	for version, ok := range map[string]bool{
		"0.0.0":                true,
		"1.4.0":                true,
		"10.20.30":             true,
		"1.0.0-alpha":          true,
		"1.0.0-alpha.1":        true,
		"1.0.0-0A.x-y.0":       true,
		"1.0.0+build.007":      true,
		"1.0.0-rc.1+build.5":   true,
		"2.0.0--":              true,
		"":                     false,
		"1":                    false,
		"1.4":                  false,
		"1.4.0.1":              false,
		"v1.4.0":               false,
		"01.4.0":               false,
		"1.4.0-":               false,
		"1.4.0-01":             false,
		"1.4.0-a..b":           false,
		"1.4.0+":               false,
		"1.4.0+a+b":            false,
		" 1.4.0":               false,
		"1.4.0\n":              false,
		"1.4.x":                false,
		"99999999999.0.0-x_y":  false,
		"99999999999999.0.0-0": true,
	} {
		config := testConfig()
		config.Version = version
		if _, err := New(config); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestEndpointNamesAreAllowedAndUnique(t *testing.T) {
	config := Config{ID: "a", Name: "b", Version: "1.0.0"}
	want := []string{"market-prices-v2", "market-prices-v2-2", "market-prices-v2-3", "market-prices-v1", "_x-Y9-", "market-prices-v2-2-2"}
	for _, name := range []string{"market.prices.v2", "market-prices.v2", "market.prices-v2", "market.prices.v1", "_x Y9é", "market.prices.v2.2"} {
		config.Endpoints = append(config.Endpoints, Endpoint{Name: name, Subject: name})
	}
	for i, e := range ask[micro.Info](t, newService(t, config), "$SRV.INFO").Endpoints {
		if e.Name != want[i] {
			t.Errorf("%q is named %q, want %q", e.Subject, e.Name, want[i])
		}
	}
}
