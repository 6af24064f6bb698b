// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Who needs longer for one test, or for the schedules of the simulation, hangs and
// has caught nothing. A small fault that has a package's tests loop for ever counts
// as noticed.
const (
	patience      = 30 * time.Second
	simPatience   = 10 * time.Minute
	smallPatience = 5 * time.Second
)

const simulation = "./internal/sim"

// A trial is one run of all faults.
type trial struct {
	*bench
	patches  []patch
	runs     uint64            // schedules of the simulation for each fault; 0 are none
	binaries map[string]string // by package

	mu    sync.Mutex // guards the field below
	sound map[test]func() error
}

// all puts the faults to the test, some at a time, and returns how many were not
// caught that should have been. The simulation is not asked about those that it
// cannot see.
func (t *trial) all(ctx context.Context, out io.Writer, jobs int) (missed int, err error) {
	began, ran, caught := time.Now(), 0, 0
	if err := t.prepare(ctx); err != nil {
		return 0, err
	}
	fmt.Fprintf(out, "built in %.0f s\n", time.Since(began).Seconds())
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(jobs, 1))
	for i, p := range t.patches {
		if t.runs > 0 && strings.HasPrefix(p.seen, blindTo) {
			fmt.Fprintf(out, "%s: the simulation %s\n", p.name, p.seen)
			continue
		}
		ran++
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			start := time.Now()
			by, err := t.catches(ctx, i+1, p)
			mu.Lock()
			defer mu.Unlock()
			verdict := "caught by " + strings.Join(by, " and ")
			switch {
			case err == nil:
				caught++
			case t.runs > 0 && p.seen == maySee:
				verdict = "not seen: " + err.Error()
			default:
				missed++
				verdict = "NOT CAUGHT: " + err.Error()
			}
			fmt.Fprintf(out, "%s (%s), %.1f s: %s\n", p.name, p.promise, time.Since(start).Seconds(), verdict)
		})
	}
	wg.Wait()
	fmt.Fprintf(out, "%d of %d faults caught in %.0f s\n", caught, ran, time.Since(began).Seconds())
	return missed, nil
}

// prepare builds the tests that are named, with all faults.
func (t *trial) prepare(ctx context.Context) (err error) {
	pkgs := []string{simulation}
	if t.runs == 0 {
		pkgs = nil
	}
	for _, p := range t.patches {
		changed, err := p.bodies(t.root)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		t.faults = append(t.faults, changed)
		for _, c := range p.tests {
			if t.runs == 0 && !slices.Contains(pkgs, c.pkg) {
				pkgs = append(pkgs, c.pkg)
			}
		}
	}
	t.sound = map[test]func() error{}
	t.binaries, err = t.build(ctx, pkgs)
	return err
}

// catches returns what caught fault n, or an error that says why it was not shown
// to be.
func (t *trial) catches(ctx context.Context, n int, p patch) (by []string, err error) {
	if why, refused := t.refused[n]; refused {
		return nil, errors.New("it does not build: " + why)
	}
	if t.runs > 0 {
		return t.simulated(ctx, n)
	}
	for _, c := range p.tests {
		if err := t.caught(ctx, n, c); err != nil {
			return by, fmt.Errorf("%s: %w", c, err)
		}
		by = append(by, c.String())
	}
	return by, nil
}

// caught demands that a test fails with the fault, and passes without it.
func (t *trial) caught(ctx context.Context, n int, c test) error {
	out, err := t.run(ctx, n, c.pkg, t.binaries[c.pkg], patience, nil, "-test.run", c.pattern(), "-test.v")
	switch {
	case err == nil:
		return errors.New("it does not notice: the test passes")
	case strings.Contains(out, "panic: test timed out"):
		return fmt.Errorf("it hangs for %v", patience)
	case !strings.Contains(out, "--- FAIL: "+c.name+" ") && !strings.Contains(out, "panic: ") && !strings.Contains(out, "fatal error: "):
		return fmt.Errorf("it neither passes nor fails: %w\n%s", err, out)
	}
	return t.passes(ctx, c)
}

// passes demands that a test passes without a fault, once for all of its faults.
func (t *trial) passes(ctx context.Context, c test) error {
	t.mu.Lock()
	pass := t.sound[c]
	if pass == nil {
		pass = sync.OnceValue(func() error {
			out, err := t.run(ctx, 0, c.pkg, t.binaries[c.pkg], patience, nil, "-test.run", c.pattern(), "-test.v")
			if err != nil || !strings.Contains(out, "--- PASS: "+c.name+" ") {
				return fmt.Errorf("it does not pass without the fault: %v\n%s", err, out)
			}
			return nil
		})
		t.sound[c] = pass
	}
	t.mu.Unlock()
	return pass()
}

var failedSeed = regexp.MustCompile(`--- FAIL: TestThePromisesHoldInEverySchedule/(\d+) `)

// simulated returns the first seed of the simulation that catches fault n.
func (t *trial) simulated(ctx context.Context, n int) (by []string, err error) {
	env := []string{"DURABUS_SIM_FIRST=1", fmt.Sprint("DURABUS_SIM_COUNT=", t.runs)}
	out, err := t.run(ctx, n, simulation, t.binaries[simulation], simPatience, env, "-test.cpu", "1",
		"-test.run", "TestThePromisesHoldInEverySchedule", "-test.failfast", "-test.v")
	if seed := failedSeed.FindStringSubmatch(out); seed != nil {
		return []string{"seed " + seed[1]}, nil
	}
	switch {
	case err == nil:
	case strings.Contains(out, "panic: test timed out"):
		return nil, fmt.Errorf("no seed in %v", simPatience)
	case strings.Contains(out, "panic: ") || strings.Contains(out, "fatal error: "):
		return []string{"a panic"}, nil
	}
	return nil, fmt.Errorf("none of %d seeds notices", t.runs)
}
