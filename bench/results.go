// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metrics are the figures of one trial. Their names are in the table columns.
type metrics map[string]float64

// String is for the log.
func (m metrics) String() string {
	var parts []string
	for _, c := range columns {
		if v, ok := m[c.metric]; ok && c.logged {
			parts = append(parts, c.title+" "+figure(v))
		}
	}
	return strings.Join(parts, ", ")
}

// A result is what one system did at one workload in one round.
type result struct {
	Workload string
	System   string
	Round    int
	Metrics  metrics
}

// results are all of a run, and where it was made.
type results struct {
	Began   time.Time
	Quick   bool
	Rounds  int
	Span    time.Duration
	Go      string
	CPUs    int
	Machine string
	Modules map[string]string // versions of the rivals
	All     []result
}

func newResults(o options) *results {
	r := &results{
		Began: time.Now().UTC().Truncate(time.Second), Quick: o.quick, Rounds: o.rounds, Span: o.span,
		Go: runtime.Version(), CPUs: runtime.NumCPU(), Machine: processor(), Modules: map[string]string{},
	}
	info, _ := debug.ReadBuildInfo()
	for _, name := range []string{
		"github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2", "google.golang.org/grpc",
		"google.golang.org/protobuf", "storj.io/drpc", "github.com/livekit/psrpc",
	} {
		for _, m := range info.Deps {
			if m.Path == name {
				r.Modules[name] = m.Version
			}
		}
	}
	return r
}

// processor is the name of the machine's, where the system tells it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, " \t:"))
		}
	}
	return runtime.GOARCH
}

// add keeps four digits of each figure, which is more than any is good for.
func (r *results) add(c cell, round int, m metrics) {
	for name, v := range m {
		m[name], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	}
	r.All = append(r.All, result{c.name, c.system, round, m})
}

func (r *results) write(name string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

func readResults(name string) (*results, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(results)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// values are a system's figures of one metric, by round.
func (r *results) values(workload, system, metric string) map[int]float64 {
	found := map[int]float64{}
	for _, one := range r.All {
		if v, ok := one.Metrics[metric]; ok && one.Workload == workload && one.System == system {
			found[one.Round] = v
		}
	}
	return found
}

// systems are those that have done a workload, in the order of the workload.
func (r *results) systems(w workload) (done []string) {
	for _, s := range w.systems {
		if slices.ContainsFunc(r.All, func(one result) bool { return one.Workload == w.name && one.System == s }) {
			done = append(done, s)
		}
	}
	return done
}
