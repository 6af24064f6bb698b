// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// A crew is a broker and as many servers and clients as a measurement under load
// needs, each a process of its own.
type crew struct {
	ctx context.Context
	at  place
	all []*process
}

// muster starts a broker with the settings that docs/operations.md has, or its
// own if "default" are asked for, and more in its environment.
func muster(ctx context.Context, settings string, env ...string) (*crew, error) {
	c := &crew{ctx: ctx}
	broker, err := c.join("broker", nil, env...)
	if err != nil {
		return nil, err
	}
	answer, err := broker.do(request{Do: "listen", Load: load{Broker: settings}})
	if err != nil {
		c.end()
		return nil, err
	}
	c.at = answer.At
	return c, nil
}

func (c *crew) join(role string, by []string, env ...string) (*process, error) {
	p, err := startBy(c.ctx, role, by, env...)
	if err == nil {
		c.all = append(c.all, p)
	}
	return p, err
}

// serve starts a server, with more in its environment, and returns when it serves.
func (c *crew) serve(shape string, l load, env ...string) (*process, error) {
	p, err := c.join("server", nil, env...)
	if err != nil {
		return nil, err
	}
	_, err = p.do(request{Do: "serve", Shape: shape, At: c.at, Load: l})
	return p, err
}

// dial starts a client.
func (c *crew) dial(shape string, l load) (*process, error) { return c.dialAs("client", shape, l) }

// dialNiced starts a client that has of the processors what nobody else wants.
func (c *crew) dialNiced(shape string, l load) (*process, error) {
	nice, err := exec.LookPath("nice")
	if err != nil {
		return nil, fmt.Errorf("a flooder that is as important as others proves nothing: %w", err)
	}
	return c.dialAs("flooder", shape, l, nice, "-n", "19")
}

func (c *crew) dialAs(role, shape string, l load, by ...string) (*process, error) {
	p, err := c.join(role, by)
	if err != nil {
		return nil, err
	}
	_, err = p.do(request{Do: "dial", Shape: shape, At: c.at, Load: l})
	return p, err
}

// run has p run under a load. Calls that fail in another way than as busy are an
// error.
func (c *crew) run(p *process, l load) (sample, error) {
	s, err := p.run(l)
	if err == nil && s.Failed > 0 {
		err = fmt.Errorf("%s: %v of %v calls failed, the first: %s", p.role, s.Failed, s.Made, s.Why)
	}
	return s, err
}

// use is what the processes hold, and have used since they began, by their roles.
func (c *crew) use() (map[string]usage, error) {
	all := map[string]usage{}
	for _, p := range c.all {
		answer, err := p.do(request{Do: "usage"})
		if err != nil {
			return nil, err
		}
		u := all[p.role]
		u.CPU += answer.Usage.CPU
		u.RSS += answer.Usage.RSS
		all[p.role] = u
	}
	return all, nil
}

// A window is what a crew used while something ran.
type window struct {
	before, after map[string]usage
	took          time.Duration
	foreign       float64 // share of the machine that others used
}

func (c *crew) window(f func() error) (w window, err error) {
	if w.before, err = c.use(); err != nil {
		return w, err
	}
	clock, began := readClock(), time.Now()
	if err := f(); err != nil {
		return w, err
	}
	w.took = time.Since(began)
	if w.after, err = c.use(); err != nil {
		return w, err
	}
	w.foreign = clock.foreign(w.own())
	return w, nil
}

// own is the processor time of all roles, in µs.
func (w window) own() (sum float64) {
	for role, u := range w.after {
		sum += u.CPU - w.before[role].CPU
	}
	return sum
}

// share is that of the machine which all roles used.
func (w window) share() float64 {
	return w.own() / float64(w.took.Microseconds()) / float64(runtime.NumCPU())
}

func (c *crew) end() {
	for _, p := range c.all {
		_ = p.kill() // it may have ended
	}
}
