// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"slices"
)

// tell makes the menu what menu makes of it; nil leaves it as it is. What the
// menu has somebody answers: one that lies would send callers where nobody is.
func (m *mux) tell(menu func([]MenuEntry) []MenuEntry) error {
	if menu == nil {
		return nil
	}
	var all []MenuEntry
	for _, d := range m.menu {
		e, err := m.entry(d, false)
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	isOwn := func(e MenuEntry) bool { return e.Name == MenuDescription.Name }
	own := all[slices.IndexFunc(all, isOwn)]
	lines := append([]MenuEntry{own}, menu(slices.DeleteFunc(slices.Clone(all), isOwn))...)
	told := map[string][]int{}
	for _, e := range lines {
		d := e.Description()
		if err := m.checkTold(d, told); err != nil {
			return err
		}
		told[d.Name] = append(told[d.Name], d.Version)
		slices.Sort(told[d.Name])
	}
	slices.SortFunc(lines, func(a, b MenuEntry) int { return compareRPCs(a.Description(), b.Description()) })
	m.told, m.lines = told, lines
	return nil
}

// checkTold refuses what cannot be told besides what is.
func (m *mux) checkTold(d Description, told map[string][]int) error {
	if err := checkDescription(d); err != nil {
		return err
	}
	bad := func(format string, args ...any) error {
		return &Error{Code: Invalid, RPC: d, Message: "on the service's Menu, " + fmt.Sprintf(format, args...)}
	}
	_, served := m.handlers[d]
	switch {
	case !served && slices.Contains(m.served[d.Name], d.Version):
		return bad("but not served as %v", d.Kind)
	case slices.Contains(told[d.Name], d.Version):
		return bad("twice")
	case served:
		return nil
	case !m.unknown.covers(d.Name):
		return bad("but neither a handler nor the service's Unknown answers it")
	}
	return nil
}

// list is the menu, with the schemas of one name.
func (m *mux) list(schemas string) ([]MenuEntry, error) {
	entries := make([]MenuEntry, 0, len(m.menu))
	if m.lines == nil {
		for _, d := range m.menu {
			e, err := m.entry(d, schemas == d.Name)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		return entries, nil
	}
	for _, e := range m.lines {
		_, served := m.handlers[e.Description()]
		switch {
		case schemas != e.Name:
			e.Schema, e.Descriptors, e.Parts = "", nil, nil
		case served && e.Schema == "":
			full, err := m.entry(e.Description(), true)
			if err != nil {
				return nil, err
			}
			e.Schema, e.Descriptors, e.Parts = full.Schema, full.Descriptors, full.Parts
		}
		entries = append(entries, e)
	}
	return entries, nil
}
