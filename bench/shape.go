// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

// A place is where the processes of one measurement find each other.
type place struct {
	Broker string // URL of the broker
	Server string // address of a server that needs no broker
	Pace   string // address where a publisher hears what was received
}

// A load says how much of a workload is asked for. What a shape does not speak
// of is zero.
type load struct {
	Size    int           // bytes of data of a value
	Callers int           // that call at a time
	Streams int           // open at a time
	Conns   int           // of the client process
	Count   int           // of values in all, or of updates
	Span    time.Duration // of calling
	Gap     time.Duration // between two values of a stream
	Window  int           // updates that may be on their way
	States  int           // followed on each connection
	Hole    bool          // one more watcher, that stops reading without a word
	Broker  string        // settings of the broker: "" for comparisons, "default" or "documented"

	// Under load:
	Rate  float64       // calls to make a second, whatever becomes of them
	Slots int           // handlers that work at a time; 0: all, on the processor
	Work  time.Duration // of a handler
	Limit int           // of the service: calls at a time; 0 is its default
	Most  int           // of the service: open streams; 0 is its default
	Again int           // times that a caller tries a call again that was refused as busy
	Flood string        // what a flooder does
	Under []string      // prefixes: of a client, or those of the services of a process
}

// A sample is what one end saw while it was measured.
type sample struct {
	N        float64 // calls, values or deliveries
	Elapsed  time.Duration
	P50, P99 time.Duration // latency, where it was taken
	Times    []int64       // Unix times of events, in ns

	// Under load:
	Made, Tries  float64 // calls, and times that they were tried by who made them
	Retried      float64 // requests that the client sent again by itself
	Busy, Failed float64 // calls that were refused as busy, or ended in another error
	BusyP99      time.Duration
	Why          string // the first of those errors
}

// An end is one of the two ends of a workload, as long as its process lives.
type end struct {
	at  place
	run func(context.Context, load) (sample, error)
}

// A shape is a form of use that systems can be compared in. Its ends are begun
// in processes of their own; measure is what the parent does with them.
type shape struct {
	serve   func(system, place, load) (end, error)
	dial    func(system, place, load) (end, error)
	measure func(*trial) (metrics, error)
}

var shapes = map[string]shape{
	"unary":    {serveUnary, dialUnary, (*trial).measureClient},
	"stream":   {serveStream, dialStream, (*trial).measureStream},
	"sparse":   {serveStream, dialSparse, (*trial).measureClient},
	"fanout":   {serveFanout, dialFanout, (*trial).measureFanout},
	"snapshot": {serveSnapshot, dialSnapshot, (*trial).measureClient},
	"idle":     {serveIdle, dialIdle, (*trial).measureIdle},
	"recovery": {serveRecovery, dialRecovery, (*trial).measureRecovery},
	"outage":   {serveRecovery, dialRecovery, (*trial).measureOutage},
	"offer":    {serve: serveOffer, dial: dialOffer}, // these are measured by -load
	"flood":    {serve: serveFlooded, dial: dialFlood},
	"calls":    {dial: dialCalls},
	"held":     {serve: serveHeld, dial: dialHeld},
	"watched":  {serve: serveHeld, dial: dialWatched},
}
