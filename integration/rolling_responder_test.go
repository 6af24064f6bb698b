// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/staterpc"
)

// What a responder of a rolling upgrade is told in its environment.
const (
	rollVersions = "DURABUS_TEST_VERSIONS" // that it serves, as JSON
	rollTally    = "DURABUS_TEST_TALLY"    // folder for the numbers of the payments that it carried out
)

const (
	rollEvery = 100 * time.Millisecond // a source's pace
	rollWork  = 15 * time.Millisecond  // what a call takes, so that there always are some in flight
)

// A source is what one responder publishes, with its past.
type source struct {
	publisher *staterpc.Publisher[book3, entry3]

	mu   sync.Mutex
	past []book3 // by position
}

func newSource(name string) *source {
	first := book3{Source: name}
	return &source{publisher: staterpc.NewPublisher(first, apply, 1000), past: []book3{first}}
}

// run publishes until ctx is done.
func (s *source) run(ctx context.Context) {
	tick := time.NewTicker(rollEvery)
	defer tick.Stop()
	for b := s.past[0]; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		e := entryOf(b.Source, b.Position+1)
		b = apply(b, e)
		s.mu.Lock()
		s.past = append(s.past, b)
		s.mu.Unlock()
		s.publisher.Publish(e)
	}
}

func (s *source) watch(ctx context.Context, _ struct{}) (book3, iter.Seq2[entry3, error], error) {
	return s.publisher.Watch(ctx)
}

// at returns the book at a position, or as it is now if that is -1.
func (s *source) at(_ context.Context, position int) (book3, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if position == -1 {
		position = len(s.past) - 1
	}
	if position < 0 || position >= len(s.past) {
		return book3{}, fmt.Errorf("position %d of %d", position, len(s.past))
	}
	return s.past[position], nil
}

// rollingResponder serves the versions it is told until it gets SIGTERM, and
// drains then. It says its instance.
func rollingResponder(ctx context.Context, url string) error {
	var versions []int
	if err := json.Unmarshal([]byte(os.Getenv(rollVersions)), &versions); err != nil {
		return err
	}
	name := fmt.Sprint("source-", os.Getpid())
	tally, err := os.OpenFile(filepath.Join(os.Getenv(rollTally), name), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	nc, err := bus.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	leave, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	src := newSource(name)
	var running sync.WaitGroup
	defer running.Wait()
	publishing, end := context.WithCancel(ctx)
	defer end()
	running.Go(func() { src.run(publishing) })
	find := func(ctx context.Context, t ticket3) (ticket3, error) {
		pace(ctx, rollWork)
		return t, nil
	}
	pay := func(ctx context.Context, t ticket3) (ticket3, error) {
		_, err := tally.Write(binary.BigEndian.AppendUint64(nil, uint64(t.ID)))
		pace(ctx, rollWork)
		return t, err
	}
	handlers := append(only(findFamily, versions).Handlers(find), only(payFamily, versions).Handlers(pay)...)
	handlers = append(handlers, only(bookFamily, versions).Handlers(src.watch)...)
	handlers = append(handlers, digestRPC.Handler(src.at))
	srv, err := bus.Serve(nc, bus.Service{Name: "rolling"}, handlers...)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	fmt.Println(srv.Instance())
	<-leave.Done()
	began := time.Now()
	grace, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := srv.Drain(grace); err != nil {
		return err
	}
	fmt.Println("drained", time.Since(began).Milliseconds())
	return tally.Close()
}
