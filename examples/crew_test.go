// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// patience is how long a script waits for what a program must print or for its
// end. It is long because several scripts compile at the same time.
const patience = 60 * time.Second

type crewKey struct{}

// A crew is what runs beside a script: its broker and its programs.
type crew struct {
	broker   *broker.Server
	programs map[string]*program
}

// A program runs in the background. What it has printed is kept.
type program struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu      sync.Mutex // guards the fields below
	printed bytes.Buffer
	read    int           // how much of printed has been waited for
	more    chan struct{} // closed at the next output
}

// Write implements [io.Writer] for the program's output.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.printed.Write(b)
}

// next moves behind text in what was printed, or returns what tells of more.
func (p *program) next(text string) (found bool, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := bytes.Index(p.printed.Bytes()[p.read:], []byte(text))
	if i < 0 {
		return false, p.more
	}
	p.read += i + len(text)
	return true, nil
}

// await moves behind text, and reports whether it came before the program ended
// and before late.
func (p *program) await(text string, late <-chan time.Time) bool {
	for {
		found, more := p.next(text)
		if found {
			return true
		}
		select {
		case <-more:
		case <-late:
			return false
		case <-p.done:
			found, _ = p.next(text) // all it printed is there
			return found
		}
	}
}

func (p *program) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed.String()
}

// finish sends a signal and waits for the end.
func (p *program) finish(s os.Signal) bool {
	_ = p.cmd.Process.Signal(s) // it may have ended
	select {
	case <-p.done:
		return true
	case <-time.After(patience):
		return false
	}
}

// end kills what still runs.
func (c *crew) end() {
	for _, p := range c.programs {
		p.finish(os.Kill)
	}
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	c := ts.Value(crewKey{}).(*crew)
	if neg || len(args) < 2 || c.programs[args[0]] != nil {
		ts.Fatalf("usage: start NAME PROGRAM ARG…, once for each name")
	}
	p := &program{cmd: exec.Command(lookPath(ts, args[1]), args[2:]...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = ts.MkAbs("."), []string{"NATS_URL=" + ts.Getenv("NATS_URL"), "PATH=" + ts.Getenv("PATH")}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	ts.Check(p.cmd.Start())
	c.programs[args[0]] = p
	go func() { // ends with the program, which crew.end sees to
		_ = p.cmd.Wait() // some are killed
		close(p.done)
	}()
}

// lookPath finds a program on the script's PATH, or in its working folder.
func lookPath(ts *testscript.TestScript, name string) string {
	if strings.HasPrefix(name, "./") {
		return ts.MkAbs(name)
	}
	bin, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	return bin + string(os.PathSeparator) + name
}

func running(ts *testscript.TestScript, neg bool, args []string) (string, *program) {
	if neg || len(args) == 0 {
		ts.Fatalf("the command needs the name of a program, and no !")
	}
	p := ts.Value(crewKey{}).(*crew).programs[args[0]]
	if p == nil {
		ts.Fatalf("no program %s was started", args[0])
	}
	return args[0], p
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	name, p := running(ts, neg, args)
	late := time.After(patience)
	for _, text := range args[1:] {
		if !p.await(text, late) {
			ts.Fatalf("%s has not printed %q by its end or within %v:\n%s", name, text, patience, p.all())
		}
	}
	ts.Logf("%s has printed %q", name, args[1:])
}

func never(ts *testscript.TestScript, neg bool, args []string) {
	name, p := running(ts, neg, args)
	for _, text := range args[1:] {
		if strings.Contains(p.all(), text) {
			ts.Fatalf("%s has printed %q:\n%s", name, text, p.all())
		}
	}
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	name, p := running(ts, neg, args)
	if !p.finish(syscall.SIGINT) {
		ts.Fatalf("%s does not stop:\n%s", name, p.all())
	}
	ts.Logf("%s:\n%s", name, p.all())
}

func sigkill(ts *testscript.TestScript, neg bool, args []string) {
	name, p := running(ts, neg, args)
	if !p.finish(os.Kill) {
		ts.Fatalf("%s outlived SIGKILL", name)
	}
	ts.Logf("%s:\n%s", name, p.all())
}
