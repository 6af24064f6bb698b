// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/unaryrpc"
)

// The test binary is also the processes that are killed: with this variable set
// it plays a role instead of running tests.
const (
	childRole = "DURABUS_TEST_ROLE"
	childURL  = "DURABUS_TEST_URL"
)

// What callers and responders have between them in these tests.
const (
	childStreams = 20
	childCalls   = 5
)

var (
	ticksRPC = piperpc.RPC[int, int]{Name: "death.ticks", Version: 1}
	sleepRPC = unaryrpc.RPC[int, int]{Name: "death.sleep", Version: 1}
)

// tick yields numbers until nobody reads.
func tick(ctx context.Context, _ int) (iter.Seq2[int, error], error) {
	return func(yield func(int, error) bool) {
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for n := 0; yield(n, nil); n++ {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	}, nil
}

// sleep answers after 10 s.
func sleep(ctx context.Context, n int) (int, error) {
	select {
	case <-time.After(10 * time.Second):
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// childMain plays a role until standard input ends, which it does with the test
// process at the latest.
func childMain(role string) {
	roles := map[string]func(ctx context.Context, url string) error{
		"caller": childCaller, "responder": childResponder,
		"keeper":                    childKeeper,
		"rolling responder":         rollingResponder,
		"responder of large values": sizeResponder,
		"caller of a large state":   sizeCaller(callState),
		"caller of a large query":   sizeCaller(callQuery),
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	if err := roles[role](ctx, os.Getenv(childURL)); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// childResponder serves, and says so.
func childResponder(ctx context.Context, url string) error {
	nc, err := bus.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	srv, err := bus.Serve(nc, bus.Service{Name: "child"}, ticksRPC.Handler(tick), sleepRPC.Handler(sleep))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return srv.Close()
}

// childCaller opens streams and makes calls, says when the streams are open, and
// the code with which each ends.
func childCaller(ctx context.Context, url string) error {
	nc, err := bus.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	client := bus.NewClient(nc, bus.ClientOptions{})
	var wg sync.WaitGroup
	for range childCalls {
		wg.Go(func() { _, _ = sleepRPC.Client(client)(ctx, 0) })
	}
	for range childStreams {
		updates, err := ticksRPC.Client(client)(ctx, 0)
		if err != nil {
			return err
		}
		wg.Go(func() {
			for _, err := range updates {
				if e, ok := errors.AsType[*bus.Error](err); ok {
					fmt.Println("ended:", string(e.Code))
				}
			}
		})
	}
	fmt.Println("ready")
	wg.Wait()
	return client.Close()
}

// A child is a process of this test binary in a role.
type child struct {
	cmd   *exec.Cmd
	lines chan string // what it says; closed at its end
}

// startChild starts a process, with these variables set besides, and returns when
// it is ready. It is killed with the test.
func startChild(t *testing.T, role, url string, set ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), childRole+"="+role, childURL+"="+url), set...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, lines: make(chan string, 1000)}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(c.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			c.lines <- s.Text()
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		reading.Wait()
		_ = cmd.Wait() // it was killed
		_ = stdin.Close()
	})
	if line := c.line(t); line != "ready" {
		t.Fatalf("the %s says %q", role, line)
	}
	return c
}

// line returns what the child says next.
func (c *child) line(t *testing.T) string {
	t.Helper()
	select {
	case line := <-c.lines:
		return line
	case <-time.After(20 * time.Second):
		t.Fatal("the child says nothing")
		return ""
	}
}

// signal sends the child a signal.
func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// childBroker is a broker with a proxy for the process that is to be harmed.
func childBroker(t *testing.T) (*broker.Server, *broker.Proxy) {
	srv := broker.Run(t, broker.Options{})
	return srv, broker.RunProxy(t, srv.URL())
}
