// SPDX-License-Identifier: Apache-2.0

package micro

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/micro"
)

// maxLastError bounds the bytes of a last error that are kept and told.
const maxLastError = 512

// Counters are the figures of one endpoint. The zero value is ready; all methods
// may be called concurrently, and only a verdict that is an error allocates.
type Counters struct {
	requests    atomic.Int64
	errors      atomic.Int64
	application atomic.Int64
	busy        atomic.Int64
	processing  atomic.Int64 // nanoseconds, of all requests
	lastError   atomic.Pointer[string]

	open    atomic.Int64
	blocked atomic.Int64
	updates atomic.Int64
}

// Data is what an endpoint's STATS has beyond the fields of ADR-32.
type Data struct {
	StreamsOpen       int64 `json:"streams_open"`       // now
	StreamsBlocked    int64 `json:"streams_blocked"`    // of these, waiting for credit of their readers
	UpdatesSent       int64 `json:"updates_sent"`       // since the start
	Busy              int64 `json:"busy"`               // requests refused at the limit; also errors
	ApplicationErrors int64 `json:"application_errors"` // errors that the definition declares; not among num_errors
}

// Verdict counts a request that was decided, took after it arrived. code is the
// string of the bus.Code with which it was answered, empty for success;
// description is its text.
//
// An application error is the implementation doing its work: it is counted apart
// and is neither an error of the endpoint nor its last one. Every other code is
// an error. Busy is one too, and is also counted by itself.
func (c *Counters) Verdict(code, description string, took time.Duration) {
	c.requests.Add(1)
	c.processing.Add(int64(took))
	switch code {
	case "":
		return
	case codeApplication:
		c.application.Add(1)
		return
	case codeBusy:
		c.busy.Add(1)
	}
	c.errors.Add(1)
	last := HTTPLike(code) + ":" + description
	if len(last) > maxLastError {
		last = strings.Clone(strings.ToValidUTF8(last[:maxLastError], ""))
	}
	c.lastError.Store(&last)
}

// Opened counts a stream that was accepted. It must be followed by one Closed.
func (c *Counters) Opened() { c.open.Add(1) }

// Closed counts the end, of any kind, of a stream that was Opened.
func (c *Counters) Closed() { c.open.Add(-1) }

// Blocked counts a stream that waits for credit from now on. It must be followed
// by one Unblocked, also if the stream ends meanwhile.
func (c *Counters) Blocked() { c.blocked.Add(1) }

// Unblocked counts the end of a wait that was Blocked.
func (c *Counters) Unblocked() { c.blocked.Add(-1) }

// Sent counts n updates that were published.
func (c *Counters) Sent(n int) { c.updates.Add(int64(n)) }

// Data returns the present figures beyond those of ADR-32.
func (c *Counters) Data() Data {
	return Data{
		StreamsOpen:       c.open.Load(),
		StreamsBlocked:    c.blocked.Load(),
		UpdatesSent:       c.updates.Load(),
		Busy:              c.busy.Load(),
		ApplicationErrors: c.application.Load(),
	}
}

// stats leaves name, subject and queue group to the service.
func (c *Counters) stats() micro.EndpointStats {
	// A Data holds only integers: it cannot fail to encode.
	data, _ := json.Marshal(c.Data())
	s := micro.EndpointStats{
		NumRequests:    int(c.requests.Load()),
		NumErrors:      int(c.errors.Load()),
		ProcessingTime: time.Duration(c.processing.Load()),
		Data:           data,
	}
	if last := c.lastError.Load(); last != nil {
		s.LastError = *last
	}
	if s.NumRequests > 0 {
		s.AverageProcessingTime = s.ProcessingTime / time.Duration(s.NumRequests)
	}
	return s
}
