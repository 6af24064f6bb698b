// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/durabus/durabus/bus"
)

// The numbers are those of the scenarios that the module was specified with.

// A model of a menu is the digests that instances give to versions.
type model map[bus.Description]map[string][]string

func TestS211LookupsIn500RandomMenusAreThoseOfANaiveModel(t *testing.T) {
	r := rand.New(rand.NewPCG(211, 0))
	for range 500 {
		m, want := randomMenu(r)
		if names := want.names(); !slices.Equal(m.Names(), names) {
			t.Fatalf("names %v, want %v", m.Names(), names)
		}
		for _, name := range []string{"a", "b", "c", "absent"} {
			if got, want := m.Versions(name), want.versions(name); !slices.Equal(got, want) {
				t.Fatalf("versions of %s: %v, want %v", name, got, want)
			}
			if got, want := m.Counts(name), want.counts(name); !maps.Equal(got, want) {
				t.Fatalf("counts of %s: %v, want %v", name, got, want)
			}
		}
		if got, want := m.Check() != nil, want.inconsistent(); got != want {
			t.Fatalf("inconsistent: %v, want %v: %v", got, want, m)
		}
		if merged := merge(m); !slices.IsSortedFunc(merged, byDescription) || !slices.Equal(merged.Names(), m.Names()) {
			t.Fatalf("merged: %v", merged)
		}
	}
}

// randomMenu returns a menu, sorted or not and of unmerged menus of instances,
// and what is in it.
func randomMenu(r *rand.Rand) (m Menu, want model) {
	want = model{}
	for i := range r.IntN(5) {
		instance := fmt.Sprint("i", i)
		for range r.IntN(8) {
			d := bus.Description{Name: string(rune('a' + r.IntN(3))), Version: 1 + r.IntN(4), Kind: bus.Unary}
			digest := []string{"", "x", "y"}[r.IntN(3)]
			m = append(m, Entry{Description: d, Digest: digest, Instances: []string{instance}})
			if want[d] == nil {
				want[d] = map[string][]string{}
			}
			want[d][digest] = append(want[d][digest], instance)
		}
	}
	if r.IntN(2) == 0 {
		slices.SortStableFunc(m, byDescription)
	}
	return m, want
}

func byDescription(a, b Entry) int {
	if a.Name != b.Name {
		return map[bool]int{true: -1, false: 1}[a.Name < b.Name]
	}
	return a.Version - b.Version
}

func (m model) names() (names []string) {
	for d := range m {
		if !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (m model) versions(name string) (versions []int) {
	for d := range m {
		if d.Name == name {
			versions = append(versions, d.Version)
		}
	}
	slices.Sort(versions)
	return versions
}

func (m model) counts(name string) map[int]int {
	counts := map[int]int{}
	for d, digests := range m {
		if d.Name != name {
			continue
		}
		instances := map[string]bool{}
		for _, ids := range digests {
			for _, id := range ids {
				instances[id] = true
			}
		}
		counts[d.Version] = len(instances)
	}
	return counts
}

// inconsistent reports whether a version has two digests beside none.
func (m model) inconsistent() bool {
	for _, digests := range m {
		if len(digests["x"]) > 0 && len(digests["y"]) > 0 {
			return true
		}
	}
	return false
}
