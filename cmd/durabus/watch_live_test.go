// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// watching is running of the tool's watch.
func watching(t *testing.T, args ...string) (next func(pattern string)) {
	t.Helper()
	return running(t, append([]string{"watch"}, args...)...)
}

// running runs a command of the tool until the test is over, and returns what
// waits for a line that a pattern matches and passes over those before.
func running(t *testing.T, args ...string) (next func(pattern string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := dispatch(ctx, args, w, io.Discard)
		w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		_, _ = io.Copy(io.Discard, r) // so that it is not kept from ending
		if err := <-ended; err != nil {
			t.Errorf("an interrupted command ends with %v", err)
		}
	})
	lines := bufio.NewScanner(r)
	return func(pattern string) {
		t.Helper()
		re := regexp.MustCompile(pattern)
		for lines.Scan() {
			if re.Match(lines.Bytes()) {
				return
			}
			t.Log(lines.Text())
		}
		t.Fatalf("no line matches %s", pattern)
	}
}

func TestAWatchFollowsItsRPCThroughARestartAndAnUpgrade(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	first, closeFirst, err := serve(b.URL(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	next := watching(t, "-server", b.URL(), "hello.clock", "10")
	next(`Connected +hello.clock.v1 at ` + first.Instance())
	next(`Snapshot +10$`)
	next(`Update +11$`)
	next(`Update +13$`)

	closeFirst()
	next(`Lost +`)
	second, closeSecond, err := serve(b.URL(), "", 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSecond()
	next(`Connected +hello.clock.v2 at ` + second.Instance())
	next(`Snapshot +10$`)
	next(`Update +13$`)

	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	next(`Lost +`)
	next(`Connected +hello.clock.v2 at ` + second.Instance())
	next(`Snapshot +\d+$`)
}

func TestAWatchFollowsAPipe(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	srv, closed, err := serve(b.URL(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	defer closed()
	next := watching(t, "-server", b.URL(), "-prefix", "acme", "hello.count.v1", "5")
	next(`Connected +hello.count.v1 at ` + srv.Instance())
	next(`Update +6$`)
	next(`Update +8$`)
}
