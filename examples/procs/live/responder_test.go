// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/examples/procs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("PROCS_TEST_CHILD") != "" {
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test closes it
		return
	}
	goleak.VerifyTestMain(m)
}

// child starts a process that runs until stop is called.
func child(t *testing.T) (pid int32, stop func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "a child of the test")
	cmd.Env = append(os.Environ(), "PROCS_TEST_CHILD=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return int32(cmd.Process.Pid), func() { in.Close(); _ = cmd.Wait() }
}

func find(t procs.Table, pid int32) (procs.Process, bool) {
	for _, p := range t.Processes {
		if p.PID == pid {
			return p, true
		}
	}
	return procs.Process{}, false
}

func TestAReplicaFollowsTheMachineAndItsDigest(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	running, stopRunning := context.WithCancel(ctx)
	go func() { done <- r.Run(running) }()
	defer func() {
		stopRunning()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	c := bus.Local(r.Handlers()...)
	if err := procs.Interval.Client(c)(ctx, procs.Sampling{Milliseconds: 20}); err != nil {
		t.Fatal(err)
	}
	table, updates, err := procs.Processes.Client(c)(ctx, procs.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if self, ok := find(table, int32(os.Getpid())); !ok || self.Parent != int32(os.Getppid()) || self.Resident == 0 || self.State == "" {
		t.Errorf("this process is in the table as %+v, %t", self, ok)
	}

	pid, stop := child(t)
	defer stop()
	started := false
	for u, err := range updates {
		if err != nil {
			t.Fatal(err)
		}
		table = table.Apply(u)
		for version, digest := range table.Digests() {
			got, err := procs.Checksum.Client(c)(ctx, procs.Moment{Version: version, Seq: table.Seq})
			if err != nil || got != digest {
				t.Fatalf("version %d at %d: the responder has %s, the replica %s (%v)", version, table.Seq, got, digest, err)
			}
		}
		p, there := find(table, pid)
		switch {
		case !started && there && strings.Contains(p.Command, "a child of the test"):
			started = true
			stop()
		case started && !there:
			return
		}
	}
	t.Error("the updates ended")
}

func TestUnknownMomentsAreForgotten(t *testing.T) {
	h := &history{limit: 3}
	for seq := uint64(1); seq <= 5; seq++ {
		h.add(procs.Table{Seq: seq})
	}
	for _, c := range []struct {
		moment procs.Moment
		known  bool
	}{
		{procs.Moment{Version: 1, Seq: 2}, false},
		{procs.Moment{Version: 1, Seq: 3}, true},
		{procs.Moment{Version: 2, Seq: 5}, true},
		{procs.Moment{Version: 2, Seq: 6}, false},
		{procs.Moment{Version: 3, Seq: 4}, false},
		{procs.Moment{}, false},
	} {
		digest, err := h.digest(c.moment)
		if c.known {
			if want := (procs.Table{Seq: c.moment.Seq}).Digests()[c.moment.Version]; err != nil || digest != want {
				t.Errorf("%+v: %q, %v", c.moment, digest, err)
			}
			continue
		}
		f, ok := errors.AsType[*procs.Forgotten](err)
		if !ok || *f != (procs.Forgotten{Moment: c.moment, Oldest: 3, Newest: 5}) {
			t.Errorf("%+v: %v", c.moment, err)
		}
	}
}

func TestAnIntervalOutOfBoundsIsRefused(t *testing.T) {
	for _, ms := range []int{-1, 0, 19, 60_001} {
		if err := (&Responder{}).setInterval(t.Context(), procs.Sampling{Milliseconds: ms}); err == nil {
			t.Errorf("%d ms was taken", ms)
		}
	}
}

func TestTextIsMadeFitForTheTable(t *testing.T) {
	long := strings.Repeat("é", maxCommand)
	for in, want := range map[string]string{
		"plain":     "plain",
		"a\xffb":    "a\uFFFDb",
		long:        long[:maxCommand],
		"x" + long:  "x" + long[:maxCommand-2],
		"\xff\xfe!": "\uFFFD!",
	} {
		got := clean(in)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%.20q became %.20q, %d bytes", in, got, len(got))
		}
	}
}

func BenchmarkSample(b *testing.B) {
	s := newSampler()
	n := 0
	for b.Loop() {
		sample, err := s.sample(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		n = len(sample)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/process")
	b.ReportMetric(float64(n), "processes")
}
