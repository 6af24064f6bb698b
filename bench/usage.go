// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// A usage is what a process has used since it began, and what it holds.
type usage struct {
	CPU     float64 // µs, of user and system
	Mallocs uint64
	RSS     float64 // bytes
}

func readUsage() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	micros := func(t syscall.Timeval) float64 { return float64(t.Sec)*1e6 + float64(t.Usec) }
	return usage{CPU: micros(r.Utime) + micros(r.Stime), Mallocs: m.Mallocs, RSS: resident()}, nil
}

// resident is the process's resident memory, 0 where the system has no /proc.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total, pages float64
	if _, err := fmt.Fscan(strings.NewReader(string(text)), &total, &pages); err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize())
}
