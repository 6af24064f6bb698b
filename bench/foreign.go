// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A clock tells how busy the whole machine was: what the processes of a
// measurement did not use themselves disturbed it.
type clock struct {
	at   time.Time
	busy float64 // µs of all cores, 0 where the system does not tell
}

func readClock() clock {
	text, _ := os.ReadFile("/proc/stat")
	return clock{time.Now(), busyTime(string(text))}
}

// tick is the unit of /proc/stat on Linux, in µs.
const tick = 10_000

// busyTime adds up the first line's columns user, nice, system, irq, softirq and
// steal.
func busyTime(stat string) (busy float64) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		if i < len(fields) {
			n, _ := strconv.ParseFloat(fields[i], 64)
			busy += n * tick
		}
	}
	return busy
}

// foreign is the share of the machine, 0 to 1, that others used since the clock
// was read, apart from own µs.
func (c clock) foreign(own float64) float64 {
	now := readClock()
	all := float64(now.at.Sub(c.at).Microseconds()) * float64(runtime.NumCPU())
	return min(max((now.busy-c.busy-own)/all, 0), 1)
}
