// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"
)

// roleVariable tells a process that it is a child, and which: "broker", "server"
// or "client".
const roleVariable = "DURABUS_BENCH_ROLE"

// A request is a line on a child's standard input, a response the line on its
// standard output that answers it.
type request struct {
	Do      string // listen, serve, dial, run, usage, rest, profile, heap
	System  string `json:",omitempty"`
	Shape   string `json:",omitempty"`
	Profile string `json:",omitempty"` // file to write; "" ends the profile
	At      place
	Load    load
}

type response struct {
	Err    string `json:",omitempty"`
	At     place
	Sample sample
	Usage  usage
}

// A child carries out its parent's requests one after the other. It has at most
// one end.
type child struct {
	role string
	end  end
	file *os.File // of the profile
}

// beChild is a child's life. It ends with the parent, whose end closes standard
// input, whatever the child is doing then.
func beChild(role string) int {
	// What is meant to happen is not logged: that streams end, that brokers die.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	c := &child{role: role}
	requests := make(chan request)
	go func() {
		for in := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
			var r request
			if in.Decode(&r) != nil {
				os.Exit(0)
			}
			requests <- r
		}
	}()
	out := json.NewEncoder(os.Stdout)
	for r := range requests {
		answer, err := c.do(r)
		if err != nil {
			answer.Err = err.Error()
		}
		if out.Encode(answer) != nil {
			return 1
		}
	}
	return 0
}

func (c *child) do(r request) (answer response, err error) {
	switch r.Do {
	case "listen":
		answer.At, err = listenBroker(r.At, r.Load.Broker)
	case "serve", "dial":
		s, shape := systems[r.System], shapes[r.Shape]
		begin := shape.serve
		if r.Do == "dial" {
			begin = shape.dial
		}
		if begin == nil {
			return answer, fmt.Errorf("nothing to %s in shape %q", r.Do, r.Shape)
		}
		c.end, err = begin(s, r.At, r.Load)
		answer.At = c.end.at
	case "run":
		if c.end.run == nil {
			return answer, fmt.Errorf("the %s of this workload has nothing to run", c.role)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience-10*time.Second)
		defer cancel()
		answer.Sample, err = c.end.run(ctx, r.Load)
	case "usage":
		answer.Usage, err = readUsage()
	case "rest": // so that the resident memory is what is needed
		runtime.GC()
		debug.FreeOSMemory()
		answer.Usage, err = readUsage()
	case "profile":
		err = c.profile(r.Profile)
	case "heap":
		err = writeHeap(r.Profile)
	default:
		err = fmt.Errorf("unknown request %q", r.Do)
	}
	return answer, err
}

func (c *child) profile(name string) (err error) {
	if name == "" {
		pprof.StopCPUProfile()
		return c.file.Close()
	}
	if c.file, err = os.Create(name); err != nil {
		return err
	}
	return pprof.StartCPUProfile(c.file)
}

// writeHeap writes what is in use since the last collection, by where it was made.
func writeHeap(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}
