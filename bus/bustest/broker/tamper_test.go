// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestAMessageIsTamperedWithOnItsWay(t *testing.T) {
	t.Parallel()
	second := func(v Verdict) map[string]Verdict { return map[string]Verdict{"2": v} }
	for _, tt := range []struct {
		name     string
		verdicts map[string]Verdict // by payload
		want     string             // what arrives of "1 2 3 4 end"
	}{
		{"pass", nil, "1 2 3 4 end"},
		{"drop", second(Drop), "1 3 4 end"},
		{"repeat", second(Repeat), "1 2 2 3 4 end"},
		{"swap", second(Swap), "1 3 2 4 end"},
		{"replace", second(Replace), "1 new 3 4 end"},
		{"swap, then drop", map[string]Verdict{"2": Swap, "3": Drop}, "1 2 4 end"},
		{"swap, then repeat", map[string]Verdict{"2": Swap, "3": Repeat}, "1 3 3 2 4 end"},
		{"swap, then swap", map[string]Verdict{"2": Swap, "3": Swap}, "1 3 2 4 end"},
		{"swap the last", map[string]Verdict{"4": Swap}, "1 2 3 end 4"},
		{"drop all but the end", map[string]Verdict{"1": Drop, "2": Drop, "3": Drop, "4": Drop}, "end"},
	} {
		for _, d := range []Direction{ToServer, ToClient} {
			for _, header := range []string{"", "with header"} {
				t.Run(strings.Join([]string{tt.name, d.String(), header}, " "), func(t *testing.T) {
					srv := Run(t, Options{})
					proxy := RunProxy(t, srv.URL())
					far, near := connect(t, proxy.URL()), connect(t, srv.URL())
					from, to := far, near
					if d == ToClient {
						from, to = near, far
					}
					got := to.subscribe(t, "news")
					proxy.Tamper(func(op *Op) Verdict {
						if !op.IsMessage() || op.Direction != d {
							return Pass
						}
						v := tt.verdicts[string(op.Payload)]
						if v == Replace {
							op.Payload = []byte("new")
						}
						return v
					})
					want := strings.Fields(tt.want)
					for _, p := range []string{"1", "2", "3", "4", "end"} {
						m := &nats.Msg{Subject: "news", Reply: "answer.here", Data: []byte(p)}
						if header != "" {
							m.Header = nats.Header{"A": {"b"}}
						}
						if err := from.PublishMsg(m); err != nil {
							t.Fatal(err)
						}
					}
					for i := range want {
						m := receive(t, want[i], got)
						if string(m.Data) != want[i] || m.Reply != "answer.here" || m.Header.Get("A") == "b" != (header != "") {
							t.Fatalf("message %d is %q (reply %q, header %v), want %v", i, m.Data, m.Reply, m.Header, want)
						}
					}
					from.flush(t)
					to.flush(t)
					if len(got) > 0 {
						t.Fatalf("received %q too", (<-got).Data)
					}
				})
			}
		}
	}
}

func TestATamperSeesEachOperationOfBothDirections(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{Users: []User{{Name: "ann", Publish: Subjects{Deny: []string{"secret"}}}}})
	proxy := RunProxy(t, srv.URL())
	var mu sync.Mutex
	var seen []string
	proxy.Tamper(func(op *Op) Verdict {
		mu.Lock()
		defer mu.Unlock()
		words := []string{op.Direction.String(), op.Verb, op.Subject, op.Reply, op.Queue, string(op.Payload)}
		words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
		seen = append(seen, strings.Join(words, " "))
		return Pass
	})
	c := connect(t, proxy.URL(), nats.UserInfo("ann", ""))
	sub, err := c.QueueSubscribeSync("a.*", "q")
	if err != nil {
		t.Fatal(err)
	}
	m := &nats.Msg{Subject: "a.h", Data: []byte("hi"), Header: nats.Header{"A": {"b"}}}
	if err := c.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	c.publish(t, "a.p", "ho")
	c.publish(t, "secret", "")
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	c.flush(t)

	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{
		"to client INFO", "to server CONNECT", "to server PING", "to client PONG",
		"to server SUB a.* q", "to server HPUB a.h hi", "to client HMSG a.h hi",
		"to server PUB a.p ho", "to client MSG a.p ho", "to server PUB secret", "to client -ERR", "to server UNSUB",
	} {
		if !slices.Contains(seen, want) {
			t.Errorf("not seen: %q in\n%s", want, strings.Join(seen, "\n"))
		}
	}
}

func TestATamperIsCalledForOneOperationAtATime(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	var inside, most atomic.Int32
	proxy.Tamper(func(*Op) Verdict {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		runtime.Gosched()
		inside.Add(-1)
		return Pass
	})
	clients := []*client{connect(t, proxy.URL()), connect(t, proxy.URL()), connect(t, proxy.URL())}
	for range 1000 {
		for _, c := range clients {
			c.publish(t, "news", "")
		}
	}
	for _, c := range clients {
		c.flush(t)
	}
	if n := most.Load(); n != 1 {
		t.Fatalf("%d calls at a time", n)
	}
}

func TestOtherOperationsThanMessagesAreNeitherSwappedNorReplaced(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	c := connect(t, proxy.URL())
	for _, v := range []Verdict{Swap, Replace} {
		proxy.Tamper(func(op *Op) Verdict {
			op.Text = "nonsense"
			return v
		})
		c.flush(t)
	}
}

func TestADroppedPingLooksLikeASilentBroker(t *testing.T) {
	t.Parallel()
	srv := Run(t, Options{})
	proxy := RunProxy(t, srv.URL())
	c := connect(t, proxy.URL(), nats.PingInterval(20*time.Millisecond), nats.MaxPingsOutstanding(2))
	proxy.Tamper(func(op *Op) Verdict {
		if op.Verb == "PING" && op.Direction == ToServer {
			return Drop
		}
		return Pass
	})
	if err := receive(t, "disconnect", c.disconnected); err != nats.ErrStaleConnection {
		t.Fatalf("disconnected by %v, want %v", err, nats.ErrStaleConnection)
	}
	proxy.Heal()
	receive(t, "reconnect", c.reconnected)
}
