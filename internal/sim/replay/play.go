// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/durabus/durabus/internal/sim"
)

// patience is how long one schedule may take, of real time.
const patience = 3 * time.Minute

// play has a process play schedules. Each that it has played is told to heard, and
// what else it prints to said. An error is that of a process that did not come to
// its end; schedules that break promises are none. Busy is what processor it took.
func (t task) play(ctx context.Context, settings []string, heard func(sim.Line), said func(string)) (busy time.Duration, err error) {
	c := exec.CommandContext(ctx, t.program, "-test.v", "-test.timeout=0", "-test.run=TestThePromisesHoldInEverySchedule")
	c.Env = append(append(os.Environ(), "GODEBUG=", "DURABUS_SIM_LINES=1",
		fmt.Sprint("DURABUS_SIM_FIRST=", t.first), fmt.Sprint("DURABUS_SIM_COUNT=", t.count)), settings...)
	out, in, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer out.Close()
	c.Stdout, c.Stderr = in, in
	err = c.Start()
	in.Close()
	if err != nil {
		return 0, err
	}
	hangs := time.AfterFunc(patience, func() { _ = c.Process.Signal(syscall.SIGQUIT) }) // it says where
	defer hangs.Stop()
	played := uint64(0)
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
		text, told := strings.CutPrefix(line, sim.LineMark)
		switch {
		case told:
			var l sim.Line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				return 0, fmt.Errorf("%q: %w", line, err)
			}
			played++
			hangs.Reset(patience)
			heard(l)
		case !noise(line):
			said(line)
		}
	}
	err = c.Wait()
	if played == t.count {
		err = nil
	}
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime(), err
}

// noise is what go test says of tests that pass.
func noise(line string) bool {
	line = strings.TrimSpace(line)
	for _, begin := range []string{"=== ", "--- PASS", "PASS", "--- FAIL", "FAIL"} {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return strings.Contains(line, "schedules from seed")
}
