// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beConductor starts a broker, stops it, says which it is and waits to be killed.
// The broker has its standard output too, which so ends with both.
func beConductor(text []byte) error {
	program, err := decode[string](text)
	if err != nil {
		return err
	}
	u, err := newUndertaker()
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	cmd := exec.Command(program, "-a", "127.0.0.1", "-p", "-1")
	cmd.Stdout = os.Stdout
	p, err := launch(u, "broker", cmd, (*exec.Cmd).StderrPipe, func(line string) {
		if strings.Contains(line, "Server is ready") {
			close(ready)
		}
	})
	if err != nil {
		return err
	}
	<-ready
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	fmt.Println(p.cmd.Process.Pid)
	<-untilInputEnds()
	return nil
}

func TestAConductorThatIsKilledLeavesNoProcessBehind(t *testing.T) {
	u, err := newUndertaker()
	if err != nil {
		t.Fatal(err)
	}
	defer u.dismiss()
	said := make(chan string, 10)
	p, err := role(u, "conductor", "conductor", natsServer, func(line string) { said <- line })
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	var broker int
	select {
	case line := <-said:
		if broker, err = strconv.Atoi(line); err != nil {
			t.Fatal(err)
		}
	case <-p.ended:
		t.Fatal("the conductor has ended")
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended: // and with it the broker
	case <-time.After(patience):
		t.Errorf("the broker lives: %v", syscall.Kill(broker, syscall.SIGKILL))
	}
}
