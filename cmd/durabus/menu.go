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
	verbose := fs.Bool("v", false, "show content types and digests, and what responders disagree about")
	watch := fs.Bool("watch", false, "print what comes and goes, until interrupted")
	check := fs.Bool("check", false, "fail if responders disagree about a version")
	if err := t.parse(&fs, args, 0, 0); err != nil {
		return err
	}
	s, err := to.connect()
	if err != nil {
		return err
	}
	defer s.close()
	if *watch {
		return s.watchMenu(ctx, t)
	}
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()

	done := t.waiting("asking all responders at " + withoutSecrets(s.server))
	m, unanswered := s.fetchMenu(ctx)
	done()
	if len(m) == 0 && unanswered != nil {
		return unanswered
	}
	if err := t.printMenu(m, *verbose); err != nil {
		return err
	}
	err = m.Check()
	switch {
	case err == nil:
	case *check:
		return failed(exitFailed, "%v", err)
	case *verbose:
		fmt.Fprintln(t.out, "\n"+err.Error())
	}
	return unanswered // by some, whose menus are not among these
}

// printMenu prints one line for each version, by name, the newest first. Where
// responders differ about a version it has a line for each way.
func (t *tool) printMenu(m menu.Menu, verbose bool) error {
	m = slices.Clone(m)
	slices.SortStableFunc(m, func(a, b menu.Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Version, a.Version))
	})
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	if verbose {
		fmt.Fprintln(w, "NAME\tVERSION\tKIND\tCONTENT\tDIGEST\tCOUNT\tINSTANCES")
	} else {
		fmt.Fprintln(w, "NAME\tVERSION\tKIND\tINSTANCES")
	}
	for _, e := range m {
		if verbose {
			fmt.Fprintf(w, "%s\tv%d\t%v\t%s\t%s\t%d\t%s\n", e.Name, e.Version, e.Kind,
				cmp.Or(e.ContentType, "-"), cmp.Or(e.Digest, "-"), len(e.Instances), strings.Join(e.Instances, " "))
			continue
		}
		fmt.Fprintf(w, "%s\tv%d\t%v\t%s\n", e.Name, e.Version, e.Kind, strings.Join(e.Instances, " "))
	}
	return w.Flush()
}
