// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/examples/procs"
)

// shownUpdates is how many updates are printed after each state. The others are
// counted.
const shownUpdates = 3

// A printer tells what happens, line by line, from several goroutines.
type printer struct {
	begin time.Time
	shown int // updates since the last state; of the follower's goroutine

	mu       sync.Mutex // guards the fields below, and the order of lines
	out      io.Writer
	progress io.Writer // nil if nobody looks
}

func newPrinter(o Options) *printer {
	return &printer{begin: time.Now(), out: o.Out, progress: o.Progress}
}

// say prints a line with the time since the beginning.
func (p *printer) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.out, "%6.2fs  %s\n", time.Since(p.begin).Seconds(), fmt.Sprintf(format, args...))
}

// gap prints an empty line.
func (p *printer) gap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.out)
}

// clear removes the progress line, which comes back by itself.
func (p *printer) clear() {
	if p.progress != nil {
		fmt.Fprint(p.progress, "\r\x1b[K")
	}
}

func (p *printer) announce(n int, a act) {
	p.gap()
	p.say("ACT %d: %s", n, a.title)
	for _, l := range a.what {
		p.say("%s", l)
	}
}

// event prints an event of the replica's stream.
func (p *printer) event(ev event, r replica) {
	if text := p.describe(ev, r); text != "" {
		p.say("  %-15s %s", ev.Kind, text)
	}
}

// describe says what is worth knowing of ev, which is nothing of most updates.
func (p *printer) describe(ev event, r replica) string {
	switch ev.Kind {
	case durable.Attempting:
		return "to open " + procs.Processes.Name()
	case durable.Connected, durable.Resumed:
		return fmt.Sprintf("%v at responder %s", ev.Info.RPC, ev.Info.Instance)
	case durable.Snapshot:
		p.shown = 0
		return fmt.Sprintf("%d processes at %d", len(ev.State.Processes), ev.State.Seq)
	case durable.Update:
		if ev.Err != nil {
			return ev.Err.Error()
		}
		if p.shown++; p.shown > shownUpdates {
			return ""
		}
		more := ""
		if p.shown == shownUpdates {
			more = " (from here on they are only counted)"
		}
		return describeUpdate(ev.Update) + more
	}
	return fmt.Sprint(ev.Err)
}

func describeUpdate(u procs.Update) string {
	var parts []string
	names := func(what string, ps []procs.Process) {
		for _, p := range ps {
			parts = append(parts, fmt.Sprintf("%s %d %s", what, p.PID, p.Name))
		}
	}
	names("started", u.Started)
	for _, pid := range u.Exited {
		parts = append(parts, fmt.Sprintf("exited %d", pid))
	}
	if len(u.Changed) > 0 {
		parts = append(parts, fmt.Sprintf("changed %d", len(u.Changed)))
	}
	return fmt.Sprintf("to %d: %s", u.Seq, strings.Join(parts, ", "))
}

// checked tells how a comparison went.
func (p *printer) checked(r replica, ours, theirs string) {
	p.say("Updates: %d started + %d exited + %d changed = %d. The replica stood still for %s at most.",
		r.started, r.exited, r.changed, r.updates(), seconds(r.still))
	sign := "="
	if ours != theirs {
		sign = "is not"
	}
	p.say("Checksum at %d of %v, asked for by a separate process: %.16s %s %.16s of the replica.",
		r.table.Seq, r.info.RPC, theirs, sign, ours)
}

// table prints one line for each act.
func (p *printer) table(results []result) {
	p.gap()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ACT\tWHAT\tVERSION\tRESPONDER\tUPDATES\tSTOOD STILL\tAT\tCHECKSUM")
	for _, r := range results {
		verdict := "equal"
		if r.err != nil {
			verdict = "FAILED"
		}
		fmt.Fprintf(w, "%d\t%s\tv%d\t%s\t%d\t%s\t%d\t%s\n", r.act, r.title, r.replica.info.RPC.Version,
			r.replica.info.Instance, r.replica.updates(), seconds(r.replica.still), r.replica.table.Seq, verdict)
	}
	w.Flush()
	for l := range strings.Lines(b.String()) {
		p.say("%s", strings.TrimSpace(l))
	}
	p.say("UPDATES are processes that started, exited or changed, since the last state and what the act did.")
	p.say("STOOD STILL is the longest time between two states or updates; one of 0.1 to 0.2 s is between two looks at the machine.")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// progress is what is shown while an act takes its time.
func (r replica) progress(now time.Time) string {
	if r.heard.IsZero() {
		return "no state yet"
	}
	if silent := now.Sub(r.heard); !r.fresh || silent > time.Second {
		return "nothing heard for " + seconds(silent)
	}
	return fmt.Sprintf("%d updates of %d", r.updates(), leastCount)
}

// waiting shows, on a terminal, what detail returns until done is called.
func (p *printer) waiting(what string, detail func() string) (done func()) {
	if p.progress == nil {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.mu.Lock()
				fmt.Fprintf(p.progress, "\r\x1b[K%6.2fs  %s: %s", time.Since(p.begin).Seconds(), what, detail())
				p.mu.Unlock()
			case <-stop:
				p.mu.Lock()
				p.clear()
				p.mu.Unlock()
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}
