// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Who needs longer for one test, or for the schedules of the simulation, hangs and
// has caught nothing.
const (
	patience    = 30 * time.Second
	simPatience = 10 * time.Minute
)

// A bench is where faults are put to the test: no file of the repository is
// changed.
type bench struct {
	root string // of the repository
	temp string
	runs uint64 // schedules of the simulation for each fault; 0 are none

	mu      sync.Mutex // guards the fields below
	folders map[string]testFolder
	sound   map[string]func() (string, error)
}

func newBench(root, temp string, runs uint64) *bench {
	return &bench{root: root, temp: temp, runs: runs, folders: map[string]testFolder{}, sound: map[string]func() (string, error){}}
}

// folder reads a folder once.
func (b *bench) folder(dir string) (f testFolder, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f = b.folders[dir]; f == nil {
		f, err = readTestFolder(dir)
		b.folders[dir] = f
	}
	return f, err
}

// catches returns what caught the fault, or an error that says why it was not
// shown to be.
func (b *bench) catches(ctx context.Context, p patch) (by []string, err error) {
	overlay := map[string]string{}
	for _, f := range p.files {
		text, err := os.ReadFile(filepath.Join(b.root, f.path))
		if err != nil {
			return nil, err
		}
		broken, err := f.apply(string(text))
		if err != nil {
			return nil, err
		}
		path := filepath.Join(b.temp, p.name, f.path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(broken), 0o644)); err != nil {
			return nil, err
		}
		overlay[filepath.Join(b.root, f.path)] = path
	}
	if b.runs > 0 {
		return b.simulated(ctx, p, overlay)
	}
	for i, t := range p.tests {
		if err := b.caught(ctx, t, filepath.Join(b.temp, p.name, fmt.Sprint(i)), overlay); err != nil {
			return by, fmt.Errorf("%s: %w", t, err)
		}
		by = append(by, t.String())
	}
	return by, nil
}

// caught demands that t fails with the overlay, and passes without it.
func (b *bench) caught(ctx context.Context, t test, temp string, overlay map[string]string) error {
	dir := filepath.Join(b.root, t.pkg)
	folder, err := b.folder(dir)
	if err != nil {
		return err
	}
	leave, err := folder.unneeded(t.function())
	if err != nil {
		return err
	}
	replace := map[string]string{}
	for _, path := range leave {
		replace[path] = ""
	}
	for path, with := range overlay {
		replace[path] = with
	}
	binary, err := b.build(ctx, t.pkg, temp, replace)
	if err != nil {
		return err
	}
	defer os.Remove(binary)
	out, err := b.run(ctx, patience, binary, dir, "-test.run", t.pattern(), "-test.v")
	switch {
	case err == nil:
		return errors.New("it does not notice: the test passes")
	case strings.Contains(out, "panic: test timed out"):
		return fmt.Errorf("it hangs for %v", patience)
	case !strings.Contains(out, "--- FAIL: "+t.name+" ") && !strings.Contains(out, "panic: ") && !strings.Contains(out, "fatal error: "):
		return fmt.Errorf("it neither passes nor fails: %w\n%s", err, out)
	}
	return b.passes(ctx, t)
}

// passes demands that t passes as the repository is, once for all its faults.
func (b *bench) passes(ctx context.Context, t test) error {
	b.mu.Lock()
	build := b.sound[t.pkg]
	if build == nil {
		build = sync.OnceValues(func() (string, error) {
			return b.build(ctx, t.pkg, filepath.Join(b.temp, "sound", t.pkg), nil)
		})
		b.sound[t.pkg] = build
	}
	pass := b.sound[t.String()]
	if pass == nil {
		pass = sync.OnceValues(func() (string, error) {
			binary, err := build()
			if err != nil {
				return "", err
			}
			out, err := b.run(ctx, patience, binary, filepath.Join(b.root, t.pkg), "-test.run", t.pattern(), "-test.v")
			if err != nil || !strings.Contains(out, "--- PASS: "+t.name+" ") {
				return "", fmt.Errorf("it does not pass without the fault: %v\n%s", err, out)
			}
			return "", nil
		})
		b.sound[t.String()] = pass
	}
	b.mu.Unlock()
	_, err := pass()
	return err
}

// build returns the binary of a package's tests.
func (b *bench) build(ctx context.Context, pkg, temp string, replace map[string]string) (binary string, err error) {
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(temp, "overlay.json")
	if err := errors.Join(os.MkdirAll(temp, 0o755), os.WriteFile(overlay, text, 0o644)); err != nil {
		return "", err
	}
	binary = filepath.Join(temp, "tests")
	c := exec.CommandContext(ctx, "go", "test", "-c", "-p=1", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, pkg)
	c.Dir = b.root
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	return binary, nil
}

func (b *bench) run(ctx context.Context, limit time.Duration, binary, dir string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, binary, append(args, "-test.timeout", limit.String())...)
	c.Dir = dir
	c.Env = append(os.Environ(), "DURABUS_SIM_FIRST=1", fmt.Sprint("DURABUS_SIM_COUNT=", b.runs))
	out, err := c.CombinedOutput()
	return string(out), err
}

var failedSeed = regexp.MustCompile(`--- FAIL: TestThePromisesHoldInEverySchedule/(\d+) `)

// simulated returns the first seed of the simulation that catches the fault.
func (b *bench) simulated(ctx context.Context, p patch, overlay map[string]string) (by []string, err error) {
	binary, err := b.build(ctx, "./internal/sim", filepath.Join(b.temp, p.name), overlay)
	if err != nil {
		return nil, err
	}
	defer os.Remove(binary)
	out, err := b.run(ctx, simPatience, binary, filepath.Join(b.root, "internal/sim"), "-test.cpu", "1",
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
	return nil, fmt.Errorf("none of %d seeds notices", b.runs)
}
