// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A crew is the processes that the demo starts: this program again, as one of
// [Parts]. They end when their standard input does, or within checkTimeout, so
// that none outlives the demo for long, however that ends.
type crew struct {
	program string
	ctx     context.Context // its end kills every process of the crew
	kill    context.CancelFunc
	waiting sync.WaitGroup // for the processes
}

func newCrew(ctx context.Context) (*crew, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the demo starts its own program again, but cannot find it: %w", err)
	}
	ctx, kill := context.WithCancel(ctx)
	return &crew{program: program, ctx: ctx, kill: kill}, nil
}

// close kills the processes that are left, and returns when all have ended.
func (c *crew) close() {
	c.kill()
	c.waiting.Wait()
}

// A member is one process of a crew. It prints at most one line.
type member struct {
	stdin io.Closer
	cmd   *exec.Cmd

	spoke chan struct{} // closed when it has printed its line, or ended
	line  string        // may be read once spoke is closed

	ended  chan struct{}
	errs   bytes.Buffer // its standard error; this and result may be read once ended is closed
	result error
}

func (c *crew) start(part string, args ...string) (*member, error) {
	m := &member{spoke: make(chan struct{}), ended: make(chan struct{})}
	m.cmd = exec.CommandContext(c.ctx, c.program, append([]string{part}, args...)...)
	m.cmd.Stderr = &m.errs
	m.cmd.WaitDelay = time.Second // for its output, once it has ended
	stdin, err := m.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.stdin = stdin
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", part, err)
	}
	c.waiting.Go(func() { m.follow(stdout) })
	return m, nil
}

// follow reads what m prints and waits for its end.
func (m *member) follow(stdout io.Reader) {
	r := bufio.NewReader(stdout)
	line, _ := r.ReadString('\n') // the end of the process says what was wrong
	m.line = strings.TrimSpace(line)
	close(m.spoke)
	_, _ = io.Copy(io.Discard, r)
	m.result = m.cmd.Wait()
	close(m.ended)
}

// says returns the line that m prints. If there is none, what m wrote to its
// standard error is in the error.
func (m *member) says(ctx context.Context) (string, error) {
	select {
	case <-m.spoke:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if m.line != "" {
		return m.line, nil
	}
	if err := m.wait(ctx); err != nil {
		return "", err
	}
	return "", fmt.Errorf("process %d ended without an answer: %s", m.pid(), bytes.TrimSpace(m.errs.Bytes()))
}

func (m *member) pid() int { return m.cmd.Process.Pid }

// terminate kills m with SIGKILL, or what the system has for it.
func (m *member) terminate() error { return m.cmd.Process.Kill() }

// dismiss tells m to end in its own time.
func (m *member) dismiss() error { return m.stdin.Close() }

// wait returns when m has ended; an error says how, unless that was in order.
func (m *member) wait(ctx context.Context) error {
	select {
	case <-m.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if m.result != nil {
		return fmt.Errorf("process %d: %w: %s", m.pid(), m.result, bytes.TrimSpace(m.errs.Bytes()))
	}
	return nil
}
