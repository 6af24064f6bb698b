// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/durable"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/piperpc"
)

// the returns the one entry of a role.
func the(t *testing.T, r bus.Role, s bus.Snapshot) bus.StreamInfo {
	t.Helper()
	all := only(r, s)
	if len(all) != 1 {
		t.Fatalf("the %s has %d of role %s: %+v", s.Side, len(all), r, s.Streams)
	}
	return all[0]
}

func only(r bus.Role, s bus.Snapshot) (all []bus.StreamInfo) {
	for _, i := range s.Streams {
		if i.Role == r {
			all = append(all, i)
		}
	}
	return all
}

func TestAnIdleStreamShowsItsPeerItsAgeAndThatItsPeerLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairing(t)
		ctx, cancel := context.WithCancel(t.Context())
		end := p.read(t, ctx)
		p.feed <- 1
		time.Sleep(10 * time.Second)
		client, srv := p.client.Snapshot(), p.srv.Snapshot()
		c, s := the(t, bus.RoleStream, client), the(t, bus.RoleStream, srv)
		if c.Name != "feed" || c.Version != 1 || c.Kind != "pipe" || s.Name != "feed" || s.Version != 1 || s.Kind != "pipe" {
			t.Errorf("not feed.v1: %+v, %+v", c, s)
		}
		if c.Peer != p.srv.Instance() || s.Peer != client.ID || srv.ID != p.srv.Instance() || c.CallID == "" || c.CallID != s.CallID {
			t.Errorf("the ends do not name each other: %+v, %+v", c, s)
		}
		for _, i := range []bus.StreamInfo{c, s} {
			if i.Age < 10*time.Second || i.Age > 11*time.Second || i.Heard > 1500*time.Millisecond {
				t.Errorf("%v old, heard %v ago", i.Age, i.Heard)
			}
			if i.Waits != "" || i.Queued != 0 || i.Frames != 2 {
				t.Errorf("nothing is on its way behind two frames: %+v", i)
			}
			if i.Credit.Granted != 256<<10 || i.Credit.Used == 0 || i.Credit.Used > 200 || i.Shared.Used != i.Credit.Used {
				t.Errorf("credit of one small update: %+v", i)
			}
		}
		p.near.Disconnect()
		if c := the(t, bus.RoleStream, p.client.Snapshot()); c.Waits != bus.WaitConnection {
			t.Errorf("without a connection: %+v", c)
		}
		p.near.Reconnect()
		time.Sleep(4 * time.Second)
		p.near.Freeze(true)
		time.Sleep(3 * time.Second) // beside a second and more since its last heartbeat, and who is silent for 5 s is dead
		if s := the(t, bus.RoleStream, p.srv.Snapshot()); s.Heard < 2*time.Second {
			t.Errorf("the caller is silent: %+v", s)
		}
		p.near.Freeze(false)
		time.Sleep(2 * time.Second)
		p.far.Freeze(true)
		time.Sleep(3 * time.Second)
		if c := the(t, bus.RoleStream, p.client.Snapshot()); c.Heard < 2*time.Second {
			t.Errorf("the responder is silent: %+v", c)
		}
		p.far.Freeze(false)
		cancel()
		<-end
		time.Sleep(time.Second)
		if n := len(p.client.Snapshot().Streams) + len(p.srv.Snapshot().Streams); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// largeRPC yields updates of 1,000 bytes for ever.
var largeRPC = piperpc.RPC[int, []byte]{Name: "large", Version: 2}

func large(ctx context.Context, _ int) (iter.Seq2[[]byte, error], error) {
	return func(yield func([]byte, error) bool) {
		for ctx.Err() == nil && yield(make([]byte, 1000), nil) {
		}
	}, nil
}

func TestAStreamWhoseReaderStallsWaitsForCreditAndForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		far := net.Dial()
		srv, err := bus.ServeOn(far, bus.Service{Name: "test", MaxStall: -1}, largeRPC.Handler(large))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		client := bus.NewClientOn(net.Dial(), bus.ClientOptions{})
		defer client.Close()
		if _, err := largeRPC.Client(client)(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		c, s := the(t, bus.RoleStream, client.Snapshot()), the(t, bus.RoleStream, srv.Snapshot())
		if s.Waits != bus.WaitCredit || s.Credit.Granted-s.Credit.Used > 40<<10 || s.Credit.Used < 200<<10 {
			t.Errorf("the server: %+v", s)
		}
		if c.Waits != bus.WaitReader || c.Queued < 200<<10 || c.Credit != s.Credit || c.Frames != s.Frames {
			t.Errorf("the client: %+v, the server: %+v", c, s)
		}
		if s.Shared.Granted <= s.Shared.Used {
			t.Errorf("what is on its way is no more than the stream's: %+v", s)
		}
		far.Disconnect()
		time.Sleep(3 * time.Second)
		if c := the(t, bus.RoleStream, client.Snapshot()); c.Queued < 200<<10 || c.Shared.Granted != 0 {
			t.Errorf("the responder is gone, and may still send: %+v", c)
		}
	})
}

func TestAFeedShowsItsMembersAndEachOfItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client := bus.NewClientOn(s.net.Dial(), bus.ClientOptions{})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := sums.Client(client)(ctx, "q"); err != nil { // never reads
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wait := followers(ctx, client, 1)
		for i := range 5 {
			s.pub.Publish(i)
			synctest.Wait()
		}
		cs, ss := client.Snapshot(), s.srv.Snapshot()
		in, out, member := the(t, bus.RoleFeed, cs), the(t, bus.RoleFeed, ss), the(t, bus.RoleMember, ss)
		if in.Name != "sums" || in.Readers != 2 || in.Position != 5 || in.Peer != ss.ID || in.Waits != "" || in.Age < time.Second {
			t.Errorf("the client's feed: %+v", in)
		}
		if out.Name != "sums" || out.Readers != 1 || out.Position != 5 || out.Epoch == "" || out.Feed != in.Feed || out.Age < time.Second {
			t.Errorf("the server's feed: %+v", out)
		}
		if member.Peer != cs.ID || member.Feed != in.Feed || member.CallID != in.CallID || member.Position != 5 || member.Shared.Granted == 0 {
			t.Errorf("the member: %+v", member)
		}
		readers := only(bus.RoleReader, cs)
		if len(readers) != 2 {
			t.Fatalf("readers: %+v", readers)
		}
		slow, quick := readers[0], readers[1]
		if slow.Position > quick.Position {
			slow, quick = quick, slow
		}
		if quick.Position != 5 || quick.Waits != "" || quick.Queued != 0 {
			t.Errorf("the quick reader: %+v", quick)
		}
		if slow.Position != 0 || slow.Waits != bus.WaitReader || slow.Queued == 0 || slow.Age < time.Second || slow.Age < quick.Age {
			t.Errorf("the slow reader: %+v", slow)
		}
		if n := len(only(bus.RoleStream, cs)) + len(only(bus.RoleStream, ss)); n != 0 {
			t.Errorf("%d streams of their own", n)
		}
		cancel()
		wait()
	})
}

// A durable state whose responder keeps a backlog resumes; where it does not it is
// opened anew. Both are counted, and the position is that of the source throughout.
func TestAfterAReconnectTheSnapshotSaysWhatBecameOfTheStream(t *testing.T) {
	for _, tt := range []struct {
		name    string
		backlog int
		want    bus.Counters
	}{
		{"resumed", 10, bus.Counters{Lost: 1, Resumed: 1, Reconnected: 1}},
		{"opened anew", 0, bus.Counters{Lost: 1, Refetched: 1, Reconnected: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newResuming(t, tt.backlog)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range durable.State(ctx, sumsV2.Client(r.client), 0, durable.Policy{Resume: true}) {
					}
				}()
				time.Sleep(time.Second)
				r.publish(1, 2, 3)
				before := the(t, bus.RoleStream, r.client.Snapshot())
				if s := the(t, bus.RoleStream, r.srv.Snapshot()); before.Position != 3 || s.Position != 3 || before.Epoch == "" || before.Epoch != s.Epoch {
					t.Errorf("before: %+v, %+v", before, s)
				}
				absent(r.near, 2*time.Second)
				time.Sleep(time.Second)
				r.publish(4)
				time.Sleep(10 * time.Second)
				r.publish(5)
				cs := r.client.Snapshot()
				after, s := the(t, bus.RoleStream, cs), the(t, bus.RoleStream, r.srv.Snapshot())
				if after.Position != 5 || s.Position != 5 || after.Epoch != before.Epoch || after.CallID == before.CallID || after.Waits != "" {
					t.Errorf("after: %+v, %+v", after, s)
				}
				if after.Heard > 1500*time.Millisecond || after.Age > 12*time.Second {
					t.Errorf("after: %+v", after)
				}
				if tt.want.Dropped = cs.Counters.Dropped; cs.Counters != tt.want {
					t.Errorf("the client counts %+v, want %+v", cs.Counters, tt.want)
				}
				cancel()
				<-done
			})
		})
	}
}
