// SPDX-License-Identifier: Apache-2.0

// Package menu asks responders which versions of which RPCs they serve.
package menu

import (
	"cmp"
	"slices"
	"strings"

	"github.com/durabus/durabus/bus"
)

// A Menu is what the responders of a fleet serve together, by name, version and
// kind, then digest and content type.
type Menu []Entry

// An Entry is one version of one RPC and who serves it. Where responders differ
// about a version it has an entry for each way; see [Menu.Check].
type Entry struct {
	bus.Description
	ContentType string   // besides JSON; "" if the responder does not say
	Digest      string   // of the schema; "" if the responder does not say
	Instances   []string // ascending, without repeats
}

// Names returns the names on the menu, ascending.
func (m Menu) Names() []string {
	var names []string
	for _, e := range m {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Versions returns the versions of name, ascending; none if nobody serves it.
func (m Menu) Versions(name string) []int {
	var versions []int
	for _, e := range m {
		if e.Name == name {
			versions = append(versions, e.Version)
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// Counts returns how many instances serve each version of name.
func (m Menu) Counts(name string) map[int]int {
	instances := map[int][]string{}
	for _, e := range m {
		if e.Name == name {
			instances[e.Version] = append(instances[e.Version], e.Instances...)
		}
	}
	counts := map[int]int{}
	for version, ids := range instances {
		slices.Sort(ids)
		counts[version] = len(slices.Compact(ids))
	}
	return counts
}

// merge returns the union of menus.
func merge(menus ...Menu) Menu {
	type way struct {
		bus.Description
		contentType, digest string
	}
	instances := map[way][]string{}
	for _, m := range menus {
		for _, e := range m {
			w := way{e.Description, e.ContentType, e.Digest}
			instances[w] = append(instances[w], e.Instances...)
		}
	}
	all := make(Menu, 0, len(instances))
	for w, ids := range instances {
		slices.Sort(ids)
		all = append(all, Entry{w.Description, w.contentType, w.digest, slices.Compact(ids)})
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(
			strings.Compare(a.Name, b.Name), a.Version-b.Version, int(a.Kind)-int(b.Kind),
			strings.Compare(a.Digest, b.Digest), strings.Compare(a.ContentType, b.ContentType),
		)
	})
	return all
}

// equal reports whether two menus say the same.
func equal(a, b Menu) bool {
	return slices.EqualFunc(a, b, func(a, b Entry) bool {
		return a.Description == b.Description && a.ContentType == b.ContentType && a.Digest == b.Digest && slices.Equal(a.Instances, b.Instances)
	})
}
