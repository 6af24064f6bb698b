// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// patience is how long anything may take that a child is asked for. The child
// itself gives up a little earlier, so that it can say what it waits for.
const patience = 2 * time.Minute

// A process is a child of this one.
type process struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
}

// start starts a child. On one core all children that want so share one.
func start(ctx context.Context, role string, oneCore bool) (*process, error) {
	if !oneCore {
		return startBy(ctx, role, nil)
	}
	var by []string
	if taskset, err := exec.LookPath("taskset"); err == nil {
		by = []string{taskset, "-c", lastCore()}
	}
	return startBy(ctx, role, by, "GOMAXPROCS=1")
}

// startBy starts a child by a program that runs what follows its own arguments.
func startBy(ctx context.Context, role string, by []string, env ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(slices.Clip(by), self)
	p := &process{role: role, cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	p.cmd.Env, p.cmd.Stderr = append(append(os.Environ(), roleVariable+"="+role), env...), os.Stderr
	p.cmd.WaitDelay = 5 * time.Second
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

// lastCore is the last core that this process may use.
func lastCore() string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			list = strings.TrimSpace(list)
			return list[strings.LastIndexAny(list, "-,")+1:]
		}
	}
	return "0"
}

// do has the child carry out r.
func (p *process) do(r request) (response, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return response{}, err
	}
	stop := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer stop.Stop()
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return response{}, fmt.Errorf("the %s is gone: %w", p.role, err)
	}
	var answer response
	if err := p.out.Decode(&answer); err != nil {
		return answer, fmt.Errorf("the %s ended, or took longer than %v, in %q: %w", p.role, patience, r.Do, err)
	}
	if answer.Err != "" {
		return answer, fmt.Errorf("%s: %s", p.role, answer.Err)
	}
	return answer, nil
}

// run has the child's end run under a load.
func (p *process) run(l load) (sample, error) {
	answer, err := p.do(request{Do: "run", Load: l})
	return answer.Sample, err
}

// kill ends the child at once and waits for that.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.in.Close()
	_ = p.cmd.Wait()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
