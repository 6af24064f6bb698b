// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/bustest/broker"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/unaryrpc"
)

const (
	largest = bus.MaxValue
	tooMuch = largest + 1<<20

	// bigUpdates are in a stream, if the first can be sent.
	bigUpdates = 20

	// pieceSize is what a message of a long value carries.
	pieceSize = 31 << 10
)

var (
	bigStateRPC  = staterpc.RPC[int, []byte, []byte]{Name: "test.big.state", Version: 1}
	bigUpdateRPC = staterpc.RPC[int, []byte, []byte]{Name: "test.big.update", Version: 1}
	bigAnswerRPC = unaryrpc.RPC[int, []byte]{Name: "test.big.answer", Version: 1}
	bigQueryRPC  = unaryrpc.RPC[[]byte, string]{Name: "test.big.query", Version: 1}
	peakHeapRPC  = unaryrpc.RPC[struct{}, uint64]{Name: "test.peak.heap", Version: 1}
)

// bigValue is n bytes, always the same.
func bigValue(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// peakHeap is the most that the heap of this process ever had of the system,
// which is at least what lived in it at any time.
func peakHeap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys
}

func bigHandlers() []bus.Handler {
	return []bus.Handler{
		bigStateRPC.Handler(func(_ context.Context, n int) ([]byte, iter.Seq2[[]byte, error], error) {
			return bigValue(n), nil, nil
		}),
		bigUpdateRPC.Handler(func(_ context.Context, n int) ([]byte, iter.Seq2[[]byte, error], error) {
			return nil, func(yield func([]byte, error) bool) {
				b := bigValue(n)
				for range bigUpdates {
					if !yield(b, nil) {
						return
					}
				}
			}, nil
		}),
		bigAnswerRPC.Handler(func(_ context.Context, n int) ([]byte, error) { return bigValue(n), nil }),
		bigQueryRPC.Handler(func(_ context.Context, b []byte) (string, error) { return digest(b), nil }),
		peakHeapRPC.Handler(func(context.Context, struct{}) (uint64, error) { return peakHeap(), nil }),
	}
}

func TestA64MiBStateArrivesWholeWithinThreeTimesItsSize(t *testing.T) {
	sendsBig(t, "caller of a large state")
}

func TestA64MiBQueryArrivesWholeWithinThreeTimesItsSize(t *testing.T) {
	sendsBig(t, "caller of a large query")
}

// sendsBig lets a caller and a responder, each a process of its own, exchange
// the largest value over a broker that takes messages of 1 MiB.
func sendsBig(t *testing.T, role string) {
	t.Helper()
	b := broker.Run(t, broker.Options{})
	if most := connect(t, b.URL()).MaxPayload(); most != 1<<20 {
		t.Fatalf("the broker takes messages of %d bytes", most)
	}
	startChild(t, "responder of large values", b.URL())
	before := b.Traffic()
	line := startChild(t, role, b.URL()).line(t)
	messages := b.Traffic().InMsgs - before.InMsgs

	var got sizeReport
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	if want := digest(bigValue(largest)); got.Digest != want {
		t.Errorf("digest %s, want %s", got.Digest, want)
	}
	t.Logf("%d messages, peak heap of the caller %d MiB, of the responder %d MiB", messages, got.Caller>>20, got.Responder>>20)
	// Besides the pieces there is at most one grant of credit for each.
	if pieces := int64(largest / pieceSize); messages < pieces || messages > 2*pieces {
		t.Errorf("%d messages for %d pieces", messages, pieces)
	}
	if most := uint64(3 * largest); got.Caller > most || got.Responder > most {
		t.Errorf("more than %d MiB", most>>20)
	}
}

// A sizeReport is what a caller writes.
type sizeReport struct {
	Digest            string
	Caller, Responder uint64 // peak heaps
}

// sizeResponder serves until it is told to end.
func sizeResponder(ctx context.Context, url string) error {
	nc, err := bus.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	srv, err := bus.Serve(nc, bus.Service{}, bigHandlers()...)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return srv.Close()
}

// sizeCaller returns a caller of what makes one call, which returns a digest,
// and writes its report.
func sizeCaller(call func(context.Context, *bus.Client) (string, error)) func(context.Context, string) error {
	return func(ctx context.Context, url string) error {
		nc, err := bus.Connect(url)
		if err != nil {
			return err
		}
		defer nc.Close()
		c := bus.NewClient(nc, bus.ClientOptions{})
		fmt.Println("ready")
		var report sizeReport
		if report.Digest, err = call(ctx, c); err != nil {
			return err
		}
		report.Caller = peakHeap()
		if report.Responder, err = peakHeapRPC.Client(c)(ctx, struct{}{}); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
		return c.Close()
	}
}

func callState(ctx context.Context, c *bus.Client) (string, error) {
	state, _, err := bigStateRPC.Client(c)(ctx, largest)
	return digest(state), err
}

func callQuery(ctx context.Context, c *bus.Client) (string, error) {
	return bigQueryRPC.Client(c)(ctx, bigValue(largest))
}

func TestWhatIsTooLargeIsRefusedAtItsSenderWithBothNumbers(t *testing.T) {
	b := broker.Run(t, broker.Options{})
	serve(t, b.URL(), bigHandlers()...)
	c := client(t, b.URL())
	for name, send := range map[string]func(context.Context) error{
		"query": func(ctx context.Context) error {
			_, err := bigQueryRPC.Client(c)(ctx, bigValue(tooMuch))
			return err
		},
		"answer": func(ctx context.Context) error {
			_, err := bigAnswerRPC.Client(c)(ctx, tooMuch)
			return err
		},
		"state": func(ctx context.Context) error {
			_, _, err := bigStateRPC.Client(c)(ctx, tooMuch)
			return err
		},
		"update": func(ctx context.Context) error {
			_, updates, err := bigUpdateRPC.Client(c)(ctx, tooMuch)
			if err != nil {
				return err
			}
			for _, err := range updates {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			before := b.Traffic().InBytes
			err := send(ctx)
			e, ok := errors.AsType[*bus.Error](err)
			if !ok || e.Code != bus.TooLarge {
				t.Fatalf("got %v, want an error of too much", err)
			}
			for _, number := range []int{tooMuch, largest} {
				if !strings.Contains(e.Message, fmt.Sprint(number)) {
					t.Errorf("%q does not tell %d", e.Message, number)
				}
			}
			if atCaller := name == "query"; e.MayHaveRun == atCaller || (e.Instance == "") != atCaller {
				t.Errorf("said by instance %q, may have run: %v", e.Instance, e.MayHaveRun)
			}
			if sent := b.Traffic().InBytes - before; sent > pieceSize {
				t.Errorf("%d bytes were sent for it", sent)
			}
		})
	}
}

func TestNoMessageIsLargerThanTheBrokerTakes(t *testing.T) {
	const most = 20 << 10
	url := runBroker(t, broker.Options{Config: fmt.Sprint("max_payload: ", most)}).URL()
	serve(t, url, bigHandlers()...)
	c := client(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, n := range []int{1, 1000, most - 600, most, 60 << 10, 1 << 20} {
		want := bigValue(n)
		if sum, err := bigQueryRPC.Client(c)(ctx, want); err != nil || sum != digest(want) {
			t.Errorf("a query of %d bytes: %v", n, err)
		}
		if got, err := bigAnswerRPC.Client(c)(ctx, n); err != nil || !bytes.Equal(got, want) {
			t.Errorf("an answer of %d bytes: %d, %v", n, len(got), err)
		}
		if got, _, err := bigStateRPC.Client(c)(ctx, n); err != nil || !bytes.Equal(got, want) {
			t.Errorf("a state of %d bytes: %d, %v", n, len(got), err)
		}
		_, updates, err := bigUpdateRPC.Client(c)(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for got, err := range updates {
			if count++; err != nil || !bytes.Equal(got, want) {
				t.Errorf("update %d of %d bytes: %d, %v", count, n, len(got), err)
			}
		}
		if count != bigUpdates {
			t.Errorf("%d updates of %d bytes, want %d", count, n, bigUpdates)
		}
	}
}
