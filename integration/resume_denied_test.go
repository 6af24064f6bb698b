// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// A record is what was logged.
type record struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) lines(with string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.buf.String()) {
		if strings.Contains(line, with) {
			n++
		}
	}
	return n
}

// A caller may not call instances: its states are fetched anew, and its log says
// why, once for all of them.
func TestStatesThatMayNotResumeAreFetchedAnewAndTheLogSaysWhyOnce(t *testing.T) {
	url := guarded(t)
	link := broker.RunProxy(t, url)
	c := client(t, link.URL(), as("resuming"))
	r := newResumption(t, url, c, 1, 1000, as("everything"))
	var log record
	old := slog.Default()
	defer slog.SetDefault(old)
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	r.swallow(link)
	r.judge(twice)
	refused := 0
	for reason, n := range c.Dropped() {
		if strings.Contains(reason, "permit _D.i.>") {
			refused += int(n)
		}
	}
	if n := log.lines("permit _D.i.>"); n != 1 || refused != resumeStates {
		t.Errorf("%d requests were refused, %d lines of the log say so", refused, n)
	}
}
