// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A score is what a package's own tests made of its small faults.
type score struct {
	killed, lived, unbuilt int
	survivors              map[string]int // by kind
}

func (s score) percent() float64 {
	return 100 * float64(s.killed) / float64(max(s.killed+s.lived, 1))
}

// every puts each small fault into the package at pkg and runs the package's own
// tests, and returns an error if less than least percent of them are noticed.
// Those that do not build count for nothing.
func (b *bench) every(ctx context.Context, out io.Writer, pkg string, jobs int, least float64) error {
	files, err := filepath.Glob(filepath.Join(b.root, pkg, "*.go"))
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
	began := time.Now()
	s := score{survivors: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan int, max(jobs, 1))
	for slot := range cap(slots) {
		slots <- slot
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		faults, err := smallFaults(file, src)
		if err != nil {
			return err
		}
		for _, f := range faults {
			slot := <-slots
			wg.Go(func() {
				defer func() { slots <- slot }()
				noticed, err := b.noticed(ctx, pkg, fmt.Sprint("slot", slot), file, f.apply(src))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					s.unbuilt++
				case noticed:
					s.killed++
				default:
					s.lived++
					s.survivors[f.kind]++
					fmt.Fprintf(out, "%s:%d: %s\n", filepath.Base(file), f.line, f.describe(src))
				}
			})
		}
	}
	wg.Wait()
	fmt.Fprintf(out, "%s: %.1f%% of %d small faults are noticed, %d more do not build; %.0f s\n",
		pkg, s.percent(), s.killed+s.lived, s.unbuilt, time.Since(began).Seconds())
	for _, kind := range slices.Sorted(maps.Keys(s.survivors)) {
		fmt.Fprintf(out, "%4d  %s\n", s.survivors[kind], kind)
	}
	if err := errors.Join(ctx.Err(), b.stands(ctx, pkg)); err != nil {
		return err
	}
	if s.percent() < least {
		return fmt.Errorf("%.1f%% is less than %v%%", s.percent(), least)
	}
	return nil
}

// noticed reports whether the tests of pkg fail with text in the place of file; an
// error is that of a fault that does not build. One that loops for ever is noticed.
func (b *bench) noticed(ctx context.Context, pkg, name, file, text string) (bool, error) {
	temp := filepath.Join(b.temp, name)
	broken := filepath.Join(temp, "broken.go")
	if err := errors.Join(os.MkdirAll(temp, 0o755), os.WriteFile(broken, []byte(text), 0o644)); err != nil {
		return false, err
	}
	binary, err := b.build(ctx, pkg, temp, map[string]string{file: broken})
	if err != nil {
		return false, err
	}
	_, err = b.run(ctx, patience, binary, filepath.Join(b.root, pkg), "-test.failfast")
	return err != nil, nil
}

// stands demands that the tests pass without a fault.
func (b *bench) stands(ctx context.Context, pkg string) error {
	binary, err := b.build(ctx, pkg, filepath.Join(b.temp, "whole"), nil)
	if err != nil {
		return err
	}
	out, err := b.run(ctx, patience, binary, filepath.Join(b.root, pkg))
	if err != nil {
		return fmt.Errorf("the tests of %s do not pass: %w\n%s", pkg, err, out)
	}
	return nil
}
