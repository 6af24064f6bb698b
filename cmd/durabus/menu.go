// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/durabus/durabus/menu"
)

// runMenu lists what is served.
func runMenu(ctx context.Context, t *tool, args []string) error {
	var fs flag.FlagSet
	var to target
	to.register(&fs)
	if err := t.parse(&fs, args, 0, 0); err != nil {
		return err
	}
	s, err := to.connect()
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()

	done := t.waiting("asking all responders at " + s.server)
	m, err := s.fetchMenu(ctx)
	done()
	if err != nil {
		return err
	}
	return t.printMenu(m)
}

// printMenu prints one line for each version, by name, the newest first.
func (t *tool) printMenu(m menu.Menu) error {
	m = slices.Clone(m)
	slices.SortStableFunc(m, func(a, b menu.Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Version, a.Version))
	})
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVERSION\tKIND\tINSTANCES")
	for _, e := range m {
		fmt.Fprintf(w, "%s\tv%d\t%v\t%s\n", e.Name, e.Version, e.Kind, strings.Join(e.Instances, " "))
	}
	return w.Flush()
}
