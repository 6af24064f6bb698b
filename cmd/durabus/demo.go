// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"

	"github.com/durabus/durabus/cmd/durabus/internal/demo"
)

// runDemo plays the five acts.
func runDemo(ctx context.Context, t *tool, args []string) error {
	var fs flag.FlagSet
	if err := t.parse(&fs, args, 0, 0); err != nil {
		return err
	}
	o := demo.Options{Out: t.out}
	if t.terminal {
		o.Progress = t.err
	}
	return demo.Run(ctx, o)
}
