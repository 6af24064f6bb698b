// SPDX-License-Identifier: Apache-2.0

package micro

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The grammar of semantic versions, https://semver.org, from its parts.
const (
	number     = `(0|[1-9][0-9]*)`
	prerelease = `(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`
	build      = `[0-9A-Za-z-]+`
)

var (
	validName    = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	validVersion = regexp.MustCompile(`^` + number + `\.` + number + `\.` + number +
		`(-` + prerelease + `(\.` + prerelease + `)*)?` +
		`(\+` + build + `(\.` + build + `)*)?$`)
)

// check refuses what tools for NATS services would not read.
func check(c Config) error {
	if !validName.MatchString(c.Name) {
		return fmt.Errorf("service name %q: it must be one or more letters, digits, '_' and '-'", c.Name)
	}
	if !validName.MatchString(c.ID) {
		return fmt.Errorf("service %s: id %q: it must be one or more letters, digits, '_' and '-'", c.Name, c.ID)
	}
	if !validVersion.MatchString(c.Version) {
		return fmt.Errorf("service %s: version %q is not a semantic version, such as \"1.4.0\"", c.Name, c.Version)
	}
	for i, e := range c.Endpoints {
		if e.Name == "" {
			return fmt.Errorf("service %s: endpoint %d has no name", c.Name, i)
		}
		if e.Subject == "" {
			return fmt.Errorf("service %s: endpoint %s has no subject", c.Name, e.Name)
		}
	}
	return nil
}

// nameEndpoints gives every endpoint a name that ADR-32 allows and that no other
// endpoint before it has. Names depend on nothing but the order of endpoints.
func nameEndpoints(endpoints []Endpoint) {
	taken := make(map[string]bool, len(endpoints))
	for i := range endpoints {
		plain := sanitize(endpoints[i].Name)
		name := plain
		for n := 2; taken[name]; n++ {
			name = plain + "-" + strconv.Itoa(n)
		}
		taken[name] = true
		endpoints[i].Name = name
	}
}

// sanitize puts '-' for every character that ADR-32 does not allow in a name.
func sanitize(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '-'
	}, name)
}
