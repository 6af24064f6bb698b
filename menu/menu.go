// SPDX-License-Identifier: Apache-2.0

// Package menu asks responders which versions of which RPCs they serve.
package menu

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/durabus/durabus/bus"
)

// A Menu is what the responders of a fleet serve together, by name, version and
// kind.
type Menu []Entry

// An Entry is one version of one RPC and who serves it.
type Entry struct {
	bus.Description
	Instances []string // ascending, without repeats
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

// parse reads one responder's menu.
func parse(instance string, answer []byte) (Menu, error) {
	var lines []bus.MenuEntry
	if err := json.Unmarshal(answer, &lines); err != nil {
		return nil, err
	}
	m := make(Menu, len(lines))
	for i, line := range lines {
		m[i] = Entry{Description: bus.Description(line), Instances: []string{instance}}
	}
	return m, nil
}

// merge returns the union of menus.
func merge(menus ...Menu) Menu {
	instances := map[bus.Description][]string{}
	for _, m := range menus {
		for _, e := range m {
			instances[e.Description] = append(instances[e.Description], e.Instances...)
		}
	}
	all := make(Menu, 0, len(instances))
	for d, names := range instances {
		slices.Sort(names)
		all = append(all, Entry{Description: d, Instances: slices.Compact(names)})
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.Version-b.Version, int(a.Kind)-int(b.Kind))
	})
	return all
}
