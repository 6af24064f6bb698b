// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// inOrder receives the numbers 0 to n-1.
func inOrder(t *testing.T, got <-chan *nats.Msg, n int) {
	t.Helper()
	for i := range n {
		if m := receive(t, fmt.Sprint("message ", i), got); string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("received %s, want %d", m.Data, i)
		}
	}
}

func TestAPartitionIsSilentAndHealingResetsWhatLostSomething(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	harmed, idle, direct := connect(t, proxy.URL()), connect(t, proxy.URL()), connect(t, srv.URL())
	got := harmed.subscribe(t, "news")

	proxy.Partition(Both)
	direct.publish(t, "news", "swallowed")
	direct.flush(t)
	if err := harmed.FlushTimeout(50 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Fatalf("flush over a partition: %v, want %v", err, nats.ErrTimeout)
	}
	if !harmed.IsConnected() || srv.Connections() != 3 || len(got) > 0 {
		t.Fatalf("connected %v, %d connections at the broker, %d messages; want silence", harmed.IsConnected(), srv.Connections(), len(got))
	}

	proxy.Heal()
	receive(t, "reconnect", harmed.reconnected)
	harmed.flush(t)
	direct.publish(t, "news", "arrives")
	if m := receive(t, "message", got); string(m.Data) != "arrives" {
		t.Fatalf("received %q, which was sent over the partition", m.Data)
	}
	idle.flush(t)
	if len(idle.disconnected) > 0 {
		t.Fatal("the connection that lost nothing was disconnected")
	}
}

func TestAPartitionHidesTheEndOfAConnection(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	stays, leaves := connect(t, proxy.URL()), connect(t, proxy.URL())
	proxy.Partition(ToServer)
	leaves.Close()
	stays.publish(t, "news", "swallowed") // read after the end of the other, or soon
	eventually(t, "something is swallowed on both connections", func() bool { return proxy.damaged() == 2 })
	if n := srv.Connections(); n != 2 {
		t.Fatalf("the broker has %d connections, want 2", n)
	}
	proxy.Heal()
	receive(t, "reconnect", stays.reconnected)
	eventually(t, "the broker learns of the end", func() bool { return srv.Connections() == 1 })
}

func (p *Proxy) damaged() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for c := range p.pairs {
		if c.lost {
			n++
		}
	}
	return n
}

func TestAPartitionHidesTheDeathOfTheBroker(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	c := connect(t, proxy.URL())
	proxy.Partition(Both)
	srv.Kill()
	eventually(t, "the end is swallowed", func() bool { return proxy.damaged() == 1 })
	if !c.IsConnected() {
		t.Fatal("the client learnt of a death behind a partition")
	}
	proxy.Heal()
	receive(t, "disconnect", c.disconnected)
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	receive(t, "reconnect", c.reconnected)
}

func TestAnExistingPartitionSilencesNewConnections(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	proxy.Partition(ToClient)
	if nc, err := nats.Connect(proxy.URL(), nats.Timeout(50*time.Millisecond)); !isTimeout(err) {
		nc.Close()
		t.Fatalf("connected over a partition: %v", err)
	}
	proxy.Heal()
	connect(t, proxy.URL())
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, nats.ErrTimeout) || errors.As(err, &n) && n.Timeout()
}

func TestAFreezeDelaysAndLosesNothing(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	frozen, direct := connect(t, proxy.URL()), connect(t, srv.URL())
	got := frozen.subscribe(t, "in")
	out := direct.subscribe(t, "out")

	proxy.Freeze(ToClient)
	const n = 1000
	for i := range n {
		direct.publish(t, "in", fmt.Sprint(i))
		frozen.publish(t, "out", fmt.Sprint(i)) // the other direction is not frozen
	}
	direct.flush(t)
	inOrder(t, out, n)
	if len(got) > 0 {
		t.Fatalf("%d messages through a freeze", len(got))
	}

	proxy.Freeze(ToServer)
	frozen.publish(t, "out", "0")
	direct.flush(t)
	if len(out) > 0 {
		t.Fatalf("%d messages through a freeze", len(out))
	}

	proxy.Thaw()
	inOrder(t, got, n)
	inOrder(t, out, 1)
	if len(frozen.disconnected) > 0 {
		t.Fatal("the frozen client was disconnected")
	}
}

func TestAFrozenSubscriberIsASlowConsumer(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{Configure: func(o *server.Options) { o.MaxPending, o.MaxPayload = 1<<20, 1<<20 }})
	proxy := RunProxy(t, srv.URL())
	frozen, direct := connect(t, proxy.URL()), connect(t, srv.URL())
	frozen.subscribe(t, "news")
	proxy.Freeze(ToClient)
	payload := strings.Repeat("x", 256<<10)
	eventually(t, "the broker gives the subscriber up", func() bool {
		direct.publish(t, "news", payload)
		direct.flush(t)
		return srv.NATS().NumSlowConsumers() == 1
	})
	if len(frozen.disconnected) > 0 {
		t.Fatal("the frozen client was told")
	}
	proxy.Thaw()
	receive(t, "disconnect", frozen.disconnected)
	receive(t, "reconnect", frozen.reconnected)
}

func TestAFrozenWriterIsBlockedByBackPressure(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	proxy.Freeze(ToServer)
	conn := dial(t, proxy)
	message := fmt.Appendf(nil, "PUB a %d\r\n%s\r\n", 64<<10, make([]byte, 64<<10))
	for sent := 0; ; sent += len(message) {
		if err := conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(message); isTimeout(err) {
			return
		}
		if sent > 64<<20 {
			t.Fatalf("%d bytes went into a frozen proxy", sent)
		}
	}
}

func TestDelayIsAddedToEachDirection(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	c := connect(t, proxy.URL())
	const delay = 20 * time.Millisecond
	proxy.Delay(delay)
	began := time.Now()
	c.flush(t)
	if took := time.Since(began); took < 2*delay {
		t.Fatalf("a round trip took %v, want at least %v", took, 2*delay)
	}

	// What is under way together arrives together, and in order.
	got := c.subscribe(t, "news")
	began = time.Now()
	const n = 1000
	for i := range n {
		c.publish(t, "news", fmt.Sprint(i))
	}
	inOrder(t, got, n)
	if took := time.Since(began); took > n*delay/4 {
		t.Fatalf("%d messages took %v: each was delayed after the other", n, took)
	}

	proxy.Delay(time.Hour)
	c.publish(t, "news", "0")
	proxy.Heal()
	inOrder(t, got, 1)
}

func TestALimitBoundsTheRateAndLosesNothing(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	limited, direct := connect(t, proxy.URL()), connect(t, srv.URL())
	got := limited.subscribe(t, "news")
	const n, size, rate = 50, 1 << 10, 256 << 10
	proxy.Limit(rate)
	began := time.Now()
	for range n {
		direct.publish(t, "news", strings.Repeat("x", size))
	}
	for i := range n {
		receive(t, fmt.Sprint("message ", i), got)
	}
	// The last is let through when those before it have had their time.
	if took, least := time.Since(began), (n-1)*size*time.Second/rate; took < least {
		t.Fatalf("%d KiB took %v, want at least %v", n, took, least)
	}

	proxy.Limit(1)
	direct.publish(t, "news", "0", "1")
	proxy.Limit(0)
	inOrder(t, got, 2)
}

func TestCutLosesWhatWasOnItsWay(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	c := connect(t, proxy.URL())
	got := c.subscribe(t, "news")
	proxy.Freeze(ToServer)
	c.publish(t, "news", "on its way")
	proxy.Cut()
	proxy.Heal()
	receive(t, "disconnect", c.disconnected)
	receive(t, "reconnect", c.reconnected)
	c.publish(t, "news", "0")
	inOrder(t, got, 1)
	eventually(t, "the broker has one connection", func() bool { return srv.Connections() == 1 })
}

func TestCutIsAResetAndNotAnEnd(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	conn := dial(t, proxy)
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "INFO") {
		t.Fatalf("the broker said %q, %v", line, err)
	}
	proxy.Cut()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read: %v, want %v", err, syscall.ECONNRESET)
	}
}

// dial opens a connection without a NATS client, which waits for nothing longer
// than the test is patient.
func dial(t *testing.T, proxy *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestWhatIsDueDoesNotWaitForWhatIsNot(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	conn := dial(t, proxy)
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil { // INFO: all is set up
		t.Fatal(err)
	}
	proxy.Delay(time.Hour)
	q := proxy.lane(ToClient).queue
	q.mu.Lock() // so that the writer finds both
	q.pieces = append(q.pieces, piece{[]byte("due\n"), time.Now().Add(-2 * time.Hour)}, piece{[]byte("not due\n"), time.Now()})
	q.changed.Broadcast()
	q.mu.Unlock()
	if line, err := in.ReadString('\n'); line != "due\n" {
		t.Fatalf("received %q, %v", line, err)
	}
}

// lane returns that of the proxy's only connection.
func (p *Proxy) lane(d Direction) *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		for _, l := range c.lanes {
			if l.direction == d {
				return l
			}
		}
	}
	return nil
}
