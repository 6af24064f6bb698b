// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A score is what a package's own tests made of its small faults.
type score struct {
	killed, lived int
	survivors     map[string]int // by kind
}

func (s score) percent() float64 { return 100 * float64(s.killed) / float64(max(s.killed+s.lived, 1)) }

// every runs the tests of pkg with each of its small faults, and returns an error
// if less than least percent of those that build are noticed.
func (b *bench) every(ctx context.Context, out io.Writer, pkg string, jobs int, least float64) error {
	began := time.Now()
	kinds, names, err := b.addSmall(pkg)
	if err != nil {
		return err
	}
	b.flags = []string{"-gcflags=-e"} // all that is refused, not the first ten
	binaries, err := b.build(ctx, []string{pkg})
	if err != nil {
		return err
	}
	noticed := func(n int) (string, error) {
		return b.run(ctx, n, pkg, binaries[pkg], smallPatience, nil, "-test.failfast")
	}
	if text, err := noticed(0); err != nil {
		return fmt.Errorf("the tests of %s do not pass: %w\n%s", pkg, err, text)
	}
	s := score{survivors: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(jobs, 1))
	for i := range b.faults {
		if _, refused := b.refused[i+1]; refused {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_, err := noticed(i + 1) // one that loops for ever is noticed in the end
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.killed++
				return
			}
			s.lived++
			s.survivors[kinds[i]]++
			fmt.Fprintln(out, names[i])
		})
	}
	wg.Wait()
	fmt.Fprintf(out, "%s: %.1f%% of %d small faults are noticed, %d more do not build; %.0f s\n",
		pkg, s.percent(), s.killed+s.lived, len(b.refused), time.Since(began).Seconds())
	for _, kind := range slices.Sorted(maps.Keys(s.survivors)) {
		fmt.Fprintf(out, "%4d  %s\n", s.survivors[kind], kind)
	}
	if s.percent() < least {
		return errors.Join(ctx.Err(), fmt.Errorf("%.1f%% is less than %v%%", s.percent(), least))
	}
	return ctx.Err()
}

// addSmall makes the small faults of a package those of b.
func (b *bench) addSmall(pkg string) (kinds, names []string, err error) {
	paths, err := filepath.Glob(filepath.Join(b.root, pkg, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		s, err := readSource(path)
		if err != nil {
			return nil, nil, err
		}
		for i, d := range s.tree.Decls {
			begin, end, ok := s.body(d)
			if !ok {
				continue
			}
			for _, f := range smallFaults(s.fset, d.(*ast.FuncDecl)) {
				b.faults = append(b.faults, bodies{{path, i}: f.in(s.text, begin, end)})
				kinds = append(kinds, f.kind)
				names = append(names, fmt.Sprintf("%s:%d: %s", filepath.Base(path), f.line, f.describe(s.text)))
			}
		}
	}
	return kinds, names, nil
}
