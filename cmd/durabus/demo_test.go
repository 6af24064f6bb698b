// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

func TestDemoMatchesInAllFiveActs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "durabus", "demo").CombinedOutput()
	took := time.Since(begin)
	t.Logf("in %.1f s:\n%s", took.Seconds(), out)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out, []byte(" equal\n")); n != 5 {
		t.Errorf("%d acts are said to match", n)
	}
	if took > 30*time.Second {
		t.Errorf("it took %v, at most 30 s are promised", took)
	}
}

// responderStarted is how the demo tells of the processes that it starts.
var responderStarted = regexp.MustCompile(`Process (\d+) is responder`)

func TestADemoThatIsBrokenOffLeavesNoProcess(t *testing.T) {
	for name, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": os.Kill} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && signal == os.Interrupt {
				signal = os.Kill // there is no other signal
			}
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "durabus", "demo")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pids []int32
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if m := responderStarted.FindSubmatch(lines.Bytes()); m != nil {
					pid, _ := strconv.Atoi(string(m[1]))
					pids = append(pids, int32(pid))
				}
				if bytes.Contains(lines.Bytes(), []byte("Snapshot")) {
					if err := cmd.Process.Signal(signal); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := cmd.Wait(); err == nil {
				t.Error("it ended as if all acts had matched")
			}
			if len(pids) < 2 {
				t.Fatalf("it started %d responders", len(pids))
			}
			for _, pid := range pids {
				awaitEnd(ctx, t, pid)
			}
		})
	}
}

// awaitEnd returns when process pid has ended, be it unburied: not every
// container has somebody who waits for orphans.
func awaitEnd(ctx context.Context, t *testing.T, pid int32) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		p, err := process.NewProcessWithContext(ctx, pid)
		if err != nil {
			return
		}
		if state, err := p.StatusWithContext(ctx); err != nil || state[0] == process.Zombie {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("process %d still runs", pid)
		}
	}
}
