// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// The first Ctrl-C asks, the second does not: the tool may be waiting for what does
// not look at its context, such as a broker that says nothing or a full pipe.
func TestWhoInterruptsTwiceDoesNotWait(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tool := exec.Cmd{Path: self, Args: []string{"durabus", "menu", "-server", "nats://" + mute.Addr().String()}}
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tool.Wait()
	}()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for over := false; !over; {
		_ = tool.Process.Signal(syscall.SIGINT) // that it ended meanwhile is seen below
		select {
		case <-again.C:
		case <-ended:
			over = true
		}
	}
	if status, ok := tool.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", tool.ProcessState)
	}
}
