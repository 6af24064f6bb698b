// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/durabus/durabus/examples/procs"
	"github.com/shirou/gopsutil/v4/process"
)

// An idle process is looked at whole once in this many samples. The other looks
// read two short files instead of seven, in some 20 µs instead of 70.
const idleSamples = 8

// maxCommand bounds what one process can put into the table, in bytes.
const maxCommand = 4 << 10

// An observation is a process and when it began, which tells a process from a
// later one with the same PID.
type observation struct {
	procs.Process
	created int64 // milliseconds since 1970
}

// A sampler looks at the processes of this machine. It is used by one goroutine.
type sampler struct {
	seen  map[int32]observation // in the last sample
	count int                   // of samples
}

func newSampler() *sampler {
	// Without it each look at a process reads the boot time again, and a process
	// may seem to have begun a second earlier or later.
	process.EnableBootTimeCache(true)
	return &sampler{}
}

// sample returns the processes that run now, by ascending PID. Those that end
// while it looks are left out.
func (s *sampler) sample(ctx context.Context) ([]observation, error) {
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the processes of this machine: %w", err)
	}
	s.count++
	all := make([]observation, 0, len(pids))
	seen := make(map[int32]observation, len(pids))
	for _, pid := range pids {
		o, err := s.look(ctx, pid)
		if err != nil {
			continue // it ended
		}
		all = append(all, o)
		seen[pid] = o
	}
	if err := ctx.Err(); err != nil {
		return nil, err // the rest of the list may have failed for this alone
	}
	s.seen = seen
	slices.SortFunc(all, func(a, b observation) int { return int(a.PID) - int(b.PID) })
	return slices.CompactFunc(all, func(a, b observation) bool { return a.PID == b.PID }), nil
}

// look returns process pid: as it was, if it has used no CPU time since and its
// turn has not come.
func (s *sampler) look(ctx context.Context, pid int32) (observation, error) {
	p := &process.Process{Pid: pid}
	created, err := p.CreateTimeWithContext(ctx)
	if err != nil {
		return observation{}, err
	}
	cpu := cpuTime(ctx, p)
	last, known := s.seen[pid]
	turn := (s.count+int(pid))%idleSamples == 0
	if known && last.created == created && last.CPU == cpu && !turn {
		return last, nil
	}
	return describe(ctx, p, created, cpu)
}

// describe reads all there is about p. What the system does not tell, as of
// another user's process, stays empty.
func describe(ctx context.Context, p *process.Process, created int64, cpu time.Duration) (observation, error) {
	o := observation{Process: procs.Process{PID: p.Pid, CPU: cpu}, created: created}
	if state, err := p.StatusWithContext(ctx); err == nil && len(state) > 0 {
		o.State = state[0]
	}
	name, err := p.NameWithContext(ctx)
	if err != nil {
		return o, err
	}
	o.Name = clean(name)
	if parent, err := p.PpidWithContext(ctx); err == nil {
		o.Parent = parent
	}
	if memory, err := p.MemoryInfoWithContext(ctx); err == nil && memory != nil {
		o.Resident = memory.RSS
	}
	if command, err := p.CmdlineWithContext(ctx); err == nil {
		o.Command = clean(command)
	}
	return o, nil
}

func cpuTime(ctx context.Context, p *process.Process) time.Duration {
	t, err := p.TimesWithContext(ctx)
	if err != nil || t == nil {
		return 0
	}
	return time.Duration(math.Round((t.User+t.System)*1000)) * time.Millisecond
}

// clean makes s fit for the table: short, and valid UTF-8, as JSON would change
// other bytes on the way and the digests of both sides would differ.
func clean(s string) string {
	if len(s) > maxCommand {
		cut := maxCommand
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
