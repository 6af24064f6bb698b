// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

// A process is one that the conductor started and ends.
type process struct {
	name  string
	cmd   *exec.Cmd
	input io.WriteCloser
	ended chan struct{} // closed when it has ended and all it said was heard
}

// launch starts cmd and has hear called with each line that it writes to the one
// of its outputs that is listened to.
func launch(u *undertaker, name string, cmd *exec.Cmd, listen func(*exec.Cmd) (io.ReadCloser, error), hear func(line string)) (*process, error) {
	output, err := listen(cmd)
	if err != nil {
		return nil, err
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: cmd, input: input, ended: make(chan struct{})}
	u.born(cmd.Process.Pid)
	go func() { // ends with the process, which the owner of p ends
		defer close(p.ended)
		s := bufio.NewScanner(output)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			hear(s.Text())
		}
		_ = cmd.Wait() // it may have been killed
		u.died(cmd.Process.Pid)
	}()
	return p, nil
}

// role starts this test binary in a role.
func role(u *undertaker, name, role string, spec any, hear func(line string)) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, specVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return launch(u, name, cmd, (*exec.Cmd).StdoutPipe, hear)
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// kill is SIGKILL, also of one that is stopped. It returns when all that the
// process said was heard.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
	_ = p.input.Close()
}

// An undertaker is a process that ends the others if the conductor dies: a broker
// does not mind its standard input, and one that is stopped minds nothing.
type undertaker struct {
	process *process

	mu sync.Mutex
}

func newUndertaker() (*undertaker, error) {
	u := &undertaker{}
	var err error
	u.process, err = role(u, "undertaker", "undertaker", nil, func(string) {})
	return u, err
}

func (u *undertaker) born(pid int) { u.tell("+", pid) }
func (u *undertaker) died(pid int) { u.tell("-", pid) }

func (u *undertaker) tell(what string, pid int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.process != nil { // it is not told of itself
		_, _ = fmt.Fprintln(u.process.input, what, pid) // it is killed last
	}
}

// dismiss ends the undertaker, once all others have ended.
func (u *undertaker) dismiss() {
	u.mu.Lock()
	p := u.process
	u.process = nil
	u.mu.Unlock()
	if p == nil {
		return
	}
	_ = p.input.Close()
	<-p.ended
}

// beUndertaker outlives the signals that a terminal sends to all.
func beUndertaker([]byte) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	living := map[int]bool{}
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		var what string
		var pid int
		if _, err := fmt.Fscan(strings.NewReader(s.Text()), &what, &pid); err != nil {
			return err
		}
		if living[pid] = true; what == "-" {
			delete(living, pid)
		}
	}
	for pid := range living {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
	}
	return nil
}
