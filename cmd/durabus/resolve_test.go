// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/menu"
)

func TestANameMayEndInAVersion(t *testing.T) {
	for in, want := range map[string]struct {
		name    string
		version int
	}{
		"hello":          {"hello", 0},
		"hello.greet":    {"hello.greet", 0},
		"hello.greet.v2": {"hello.greet", 2},
		"a.v1.v12":       {"a.v1", 12},
		"hello.v0":       {"hello.v0", 0},
		"hello.v+1":      {"hello.v+1", 0},
		"hello.value":    {"hello.value", 0},
		"hello.v":        {"hello.v", 0},
		"v2":             {"v2", 0},
	} {
		if name, version := splitVersion(in); name != want.name || version != want.version {
			t.Errorf("%q is %q at version %d", in, name, version)
		}
	}
}

func entry(name string, version int, kind bus.Kind) menu.Entry {
	return menu.Entry{Description: bus.Description{Name: name, Version: version, Kind: kind}, Instances: []string{"A"}}
}

func TestARequestFindsItsRPCOrWhatIsLikeIt(t *testing.T) {
	m := menu.Menu{
		entry("hello.clock", 1, bus.State), entry("hello.clock", 3, bus.State), entry("hello.clock", 2, bus.Pipe),
		entry("hello.greet", 1, bus.Unary),
	}
	for _, c := range []struct {
		name  string
		menu  menu.Menu
		asked string
		found string
		fails string
	}{
		{"the only version", m, "hello.greet", "hello.greet.v1", ""},
		{"the newest version", m, "hello.clock", "hello.clock.v3", ""},
		{"a version by its number", m, "hello.clock.v2", "hello.clock.v2", ""},
		{"a typo", m, "hello.gret", "", "nobody serves hello.gret; nearest on the menu are hello.greet"},
		{"a typo, one near name", m[3:], "hello.gret", "", "nobody serves hello.gret; the menu has hello.greet"},
		{"a version that is not served", m, "hello.clock.v9", "", "asked for was hello.clock.v9, served are v1, v2, v3"},
		{"an empty menu", nil, "hello", "", "nobody serves hello; no name on the menu is like it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := parseRequest([]string{c.asked})
			if err != nil {
				t.Fatal(err)
			}
			d, err := find(c.menu, r)
			if c.fails == "" {
				if err != nil || d.String() != c.found {
					t.Fatalf("found %v, %v", d, err)
				}
				return
			}
			f, ok := errors.AsType[*failure](err)
			if !ok || f.code != exitUnserved || !strings.Contains(f.text, c.fails) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAQueryMustBeJSON(t *testing.T) {
	for in, want := range map[string]int{
		`"Ada"`: exitDone, `{"a":[1,2]}`: exitDone, `null`: exitDone,
		`Ada`: exitUsage, `{"a":`: exitUsage, ``: exitUsage, `1 2`: exitUsage,
	} {
		r, err := parseRequest([]string{"hello", in})
		code := exitDone
		if f, ok := errors.AsType[*failure](err); ok {
			code = f.code
		}
		if code != want || err == nil && string(r.query) != in {
			t.Errorf("%s: %v", in, err)
		}
	}
	if r, err := parseRequest([]string{"hello"}); err != nil || string(r.query) != "null" {
		t.Errorf("no query became %s, %v", r.query, err)
	}
}
