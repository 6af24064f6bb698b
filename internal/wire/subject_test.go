// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"math"
	"strings"
	"testing"

	"github.com/durabus/durabus/internal/wire"
)

func TestSubjects(t *testing.T) {
	full := wire.FullName("acme", "market.prices")
	for _, c := range []struct{ got, want string }{
		{full, "acme.market.prices"},
		{wire.FullName("", "market.prices"), "market.prices"},
		{wire.RequestSubject(full, 2), "acme.market.prices.v2"},
		{wire.InstanceSubject("I9", full, 12), "_D.i.I9.acme.market.prices.v12"},
		{wire.InstanceSubjects("I9"), "_D.i.I9.>"},
		{wire.ControlSubject("I9", "secret", 7), "_D.c.I9.secret.7"},
		{wire.ControlSubjects("I9"), "_D.c.I9.>"},
		{wire.MenuOneSubject(full), "_D.m.acme.market.prices.one"},
		{wire.MenuAllSubject(full), "_D.m.acme.market.prices.all"},
		{wire.AnnounceSubject(full), "_D.a.acme.market.prices"},
		{wire.FeedSubject(full, 2, "I9", "token"), "_D.f.acme.market.prices.v2.I9.token"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestRequestSubjectsAreTakenApart(t *testing.T) {
	for subject, want := range map[string]string{
		wire.RequestSubject("acme.market.prices", 12): "acme.market.prices",
		wire.RequestSubject("a.v2", 1):                "a.v2",
		wire.InstanceSubject("I9", "prices", 1):       "",
		"prices":                                      "",
		".v1":                                         "",
	} {
		if got, _, ok := wire.ParseRequestSubject(subject); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", subject, got, ok)
		}
	}
	if !wire.IsAnnounceSubject(wire.AnnounceSubject("a")) || wire.IsAnnounceSubject("_D.m.a.all") {
		t.Error("announcements are not told from other subjects")
	}
}

func TestInstanceSubjectsAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		subject, instance, fullName string
		version                     int
		ok                          bool
	}{
		{"_D.i.I9.acme.market.prices.v12", "I9", "acme.market.prices", 12, true},
		{"_D.i.I9.prices.v1", "I9", "prices", 1, true},
		{"_D.i.I9.a.v2.v1", "I9", "a.v2", 1, true},
		{"_D.i.I9.prices.v0", "", "", 0, false},
		{"_D.i.I9.prices.v01", "", "", 0, false},
		{"_D.i.I9.prices.v+1", "", "", 0, false},
		{"_D.i.I9.prices.v", "", "", 0, false},
		{"_D.i.I9.prices.v99999999999999999999", "", "", 0, false},
		{"_D.i.I9.prices", "", "", 0, false},
		{"_D.i.I9.v1", "", "", 0, false},
		{"_D.i.I9..v1", "", "", 0, false},
		{"_D.i..prices.v1", "", "", 0, false},
		{"_D.i.I9", "", "", 0, false},
		{"_D.c.I9.prices.v1", "", "", 0, false},
		{"prices.v1", "", "", 0, false},
		{"", "", "", 0, false},
	} {
		instance, fullName, version, ok := wire.ParseInstanceSubject(c.subject)
		if instance != c.instance || fullName != c.fullName || version != c.version || ok != c.ok {
			t.Errorf("%s: %q, %q, %d, %v", c.subject, instance, fullName, version, ok)
		}
		if ok && wire.InstanceSubject(instance, fullName, version) != c.subject {
			t.Errorf("%s is not made of its parts", c.subject)
		}
	}
}

func TestControlSubjectsAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		subject, token string
		m              uint64
		ok             bool
	}{
		{"_D.c.I9.secret.7", "secret", 7, true},
		{wire.ControlSubject("I9", "secret", math.MaxUint64), "secret", math.MaxUint64, true},
		{"_D.c.I9.secret.18446744073709551616", "", 0, false},
		{"_D.c.I9.secret.-1", "", 0, false},
		{"_D.c.I9.secret.", "", 0, false},
		{"_D.c.I9.secret", "", 0, false},
		{"_D.c.I9.secret.7.8", "", 0, false},
		{"_D.c.I9..7", "", 0, false},
		{"_D.c.I9", "", 0, false},
		{"_D.i.I9.secret.7", "", 0, false},
		{"", "", 0, false},
	} {
		token, m, ok := wire.ParseControlSubject(c.subject)
		if token != c.token || m != c.m || ok != c.ok {
			t.Errorf("%s: %q, %d, %v", c.subject, token, m, ok)
		}
	}
}

func TestTakingControlSubjectsApartDoesNotAllocate(t *testing.T) {
	subject := wire.ControlSubject("I9", "secret", 12345)
	if n := testing.AllocsPerRun(100, func() { wire.ParseControlSubject(subject) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzSubjects holds that a subject is taken apart into what it was made of, and
// that nothing else is taken for one: whatever was accepted makes the same subject
// again.
func FuzzSubjects(f *testing.F) {
	for _, s := range []string{
		"acme.market.prices.v12", "a.v2.v1", "prices", ".v1", "prices.v01", "_D.i.I9.prices.v1", "_D.i..prices.v1", "_D.i.I9.", "_D.c.I9.secret.7",
		"_D.c.I9.secret.18446744073709551616", "_D.c.I9", "_D.c...", "_D.a.prices", "_D.c.I9.menu.+1",
	} {
		f.Add(s, "token", uint64(1))
	}
	f.Fuzz(func(t *testing.T, subject, part string, n uint64) {
		if name, version, ok := wire.ParseRequestSubject(subject); ok && wire.RequestSubject(name, version) != subject {
			t.Errorf("%q was taken for %q and version %d", subject, name, version)
		}
		if instance, name, version, ok := wire.ParseInstanceSubject(subject); ok && wire.InstanceSubject(instance, name, version) != subject {
			t.Errorf("%q was taken for %q, %q and version %d", subject, instance, name, version)
		}
		if part == "" || strings.Contains(part, ".") || strings.HasPrefix(part, wire.Root) {
			return
		}
		version := int(n>>1%math.MaxInt32) + 1
		if name, v, ok := wire.ParseRequestSubject(wire.RequestSubject(part, version)); !ok || name != part || v != version {
			t.Errorf("request %q, version %d: %q, %d, %t", part, version, name, v, ok)
		}
		if i, name, v, ok := wire.ParseInstanceSubject(wire.InstanceSubject(part, part, version)); !ok || i != part || name != part || v != version {
			t.Errorf("instance %q, version %d: %q, %q, %d, %t", part, version, i, name, v, ok)
		}
		if token, m, ok := wire.ParseControlSubject(wire.ControlSubject("I9", part, n)); !ok || token != part || m != n {
			t.Errorf("control %q, %d: %q, %d, %t", part, n, token, m, ok)
		}
	})
}
