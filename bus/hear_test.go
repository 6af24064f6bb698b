// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
	"github.com/durabus/durabus/unaryrpc"
	"github.com/durabus/durabus/versioned"
)

var nameRPC3 = unaryrpc.RPC[string, string]{Name: "name", Version: 3}

// echo is a handler of name.vN.
func echo(version int) bus.Handler {
	rpc := unaryrpc.RPC[string, string]{Name: "name", Version: version}
	return rpc.Handler(func(_ context.Context, s string) (string, error) { return s, nil })
}

func expectServed(t *testing.T, c *bus.Client, want ...int) {
	t.Helper()
	if got, err := c.Served(t.Context(), "name"); err != nil || !slices.Equal(got, want) {
		t.Errorf("served: %v, %v; want %v", got, err, want)
	}
}

func TestAClientKnowsAtOnceWhoCameAndWhoLeft(t *testing.T) {
	for name, prefix := range map[string]string{"without a prefix": "", "with one": "acme"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				f.serve(bus.Service{Prefix: prefix}, echo(1))
				c := f.client(bus.ClientOptions{Prefix: prefix})
				expectServed(t, c, 1)
				asked := 0
				f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
					// Who drains asks too, and wants the answer at its own address.
					if strings.HasPrefix(m.Subject, "_D.m.") && !strings.HasPrefix(m.Reply, "_D.c.") {
						asked++
					}
					return []transport.Msg{m}
				})
				second := f.serve(bus.Service{Prefix: prefix}, echo(1), echo(2))
				third := f.serve(bus.Service{Prefix: prefix}, echo(3))
				synctest.Wait()
				expectServed(t, c, 1, 2, 3)
				if err := second.Drain(t.Context()); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				expectServed(t, c, 1, 3)
				if err := third.Close(); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				expectServed(t, c, 1)
				f.net.Tap(nil)
				if asked > 0 {
					t.Errorf("%d questions were asked", asked)
				}
			})
		})
	}
}

func TestWhoComesDuringAQuestionIsInItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		leaving := f.serve(bus.Service{}, echo(1))
		f.serve(bus.Service{}, echo(2))
		c := f.client(bus.ClientOptions{})
		answer := make(chan []int)
		go func() {
			served, err := c.Served(context.Background(), "name")
			if err != nil {
				t.Error(err)
			}
			answer <- served
		}()
		time.Sleep(10 * time.Millisecond) // the answers are here, the silence is not over
		f.serve(bus.Service{}, echo(3))
		if err := leaving.Close(); err != nil {
			t.Error(err)
		}
		if got := <-answer; !slices.Equal(got, []int{2, 3}) {
			t.Errorf("served: %v", got)
		}
	})
}

func TestAnErrorKnowsWhenAnInstanceComes(t *testing.T) {
	dead := func(t *testing.T, f fleet, c *bus.Client) error {
		conn := f.net.Dial()
		srv, err := bus.ServeOn(conn, bus.Service{}, heldRPC.Handler(func(ctx context.Context, n int) (int, error) {
			<-ctx.Done()
			return n, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = srv.Close() })
		done := make(chan error)
		go func() {
			_, err := heldRPC.Client(c)(context.Background(), 1)
			done <- err
		}()
		time.Sleep(time.Second)
		conn.Disconnect()
		return <-done
	}
	for name, tc := range map[string]struct {
		fail func(t *testing.T, f fleet, c *bus.Client) error
		code bus.Code
		rpc  bus.Handler
	}{
		"after NoResponder": {func(t *testing.T, _ fleet, c *bus.Client) error {
			_, err := nameRPC.Client(c)(t.Context(), "a")
			return err
		}, bus.NoResponder, echo(1)},
		"after Unserved": {func(t *testing.T, f fleet, c *bus.Client) error {
			f.serve(bus.Service{}, echo(2))
			_, err := nameRPC.Client(c)(t.Context(), "a")
			return err
		}, bus.Unserved, echo(1)},
		"after a family's NoResponder": {func(t *testing.T, _ fleet, c *bus.Client) error {
			_, err := versioned.New(nameRPC, nameRPC3).Client(c)(t.Context(), "a")
			return err
		}, bus.NoResponder, echo(3)},
		"after a family's Unserved": {func(t *testing.T, f fleet, c *bus.Client) error {
			f.serve(bus.Service{}, echo(2))
			_, err := versioned.New(nameRPC, nameRPC3).Client(bus.Wrap(c))(t.Context(), "a")
			return err
		}, bus.Unserved, echo(3)},
		"after Gone": {dead, bus.Gone, heldRPC.Handler(func(_ context.Context, n int) (int, error) { return n, nil })},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				c := f.client(bus.ClientOptions{})
				err := tc.fail(t, f, c)
				e, ok := errors.AsType[*bus.Error](err)
				if !ok || e.Code != tc.code || e.Again == nil {
					t.Fatalf("got %v", err)
				}
				time.Sleep(3 * time.Second) // repeats of what is known are no news
				select {
				case <-e.Again:
					t.Fatal("a retry is said to help before anybody came")
				default:
				}
				f.serve(bus.Service{}, tc.rpc)
				synctest.Wait()
				select {
				case <-e.Again:
				default:
					t.Error("an instance came, and the error does not know")
				}
			})
		})
	}
}

func TestWhoHasComeIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		c := f.client(bus.ClientOptions{})
		expectServed(t, c)
		waits := c.Comes("name", 1, 3)
		if waits == nil || c.Comes("name", 1, 3) != waits || c.Comes("name") != nil || c.WithInstance("i").Comes("name", 1) != nil {
			t.Error("those who wait for the same do not share it, or wait for nobody")
		}
		f.serve(bus.Service{}, echo(2), echo(3))
		synctest.Wait()
		for name, came := range map[string]<-chan struct{}{"before": waits, "after": c.Comes("name", 1, 3)} {
			select {
			case <-came:
			default:
				t.Errorf("who asked %s the announcement waits", name)
			}
		}
		for v := range 100 { // as the callers of a proxy may
			waits = c.Comes("name", 100+v)
		}
		if waits != nil {
			t.Error("anything is waited for")
		}
	})
}

func TestAnnouncementsAreRepeatedOnceThenTheMenuIsAnnouncedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		c := f.client(bus.ClientOptions{})
		heard := map[string]*atomic.Int64{}
		for _, name := range []string{"name", bus.MenuDescription.Name} {
			n := new(atomic.Int64)
			heard[name] = n
			stop, err := c.Hear(name, func(a bus.Announcement) {
				if len(a.Versions) > 0 {
					n.Add(1)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
		}
		f.serve(bus.Service{}, echo(1))
		time.Sleep(time.Minute)
		synctest.Wait()
		all, menus := heard["name"].Load(), heard[bus.MenuDescription.Name].Load()
		if all != 2 || menus < 2+5 || menus > 2+11 {
			t.Errorf("the name was announced %d times, the menu %d times", all, menus)
		}
	})
}

// A quietConn is connected late, and tells nobody.
type quietConn struct {
	transport.Conn
	up atomic.Bool
}

func (c *quietConn) Connected() bool { return c.up.Load() }

func (c *quietConn) Publish(subject, reply string, data []byte) error {
	if !c.up.Load() {
		return transport.ErrNotConnected
	}
	return c.Conn.Publish(subject, reply, data)
}

func TestNobodyIsToldOfAVersionBeforeItIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var order []string // of what the responder says of the name
		f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			switch {
			case m.Subject == "_D.a.name":
				order = append(order, "announced")
			case strings.HasPrefix(m.Subject, "_INBOX."):
				order = append(order, "answered")
			}
			return []transport.Msg{m}
		})
		conn := &quietConn{Conn: f.net.Dial()}
		srv, err := bus.ServeOn(conn, bus.Service{}, echo(1))
		if err != nil {
			t.Fatal(err)
		}
		conn.up.Store(true)
		expectServed(t, f.client(bus.ClientOptions{}), 1)
		f.net.Tap(nil)
		if len(order) < 2 || order[0] != "announced" {
			t.Errorf("a name was %v", order)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A machine that is busy answers late. That is no reason to fail calls which have
// no deadline.
func TestAnAnswerAboutTheMenuMayComeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.serve(bus.Service{}, echo(1))
		late := make(chan transport.Msg, 1)
		f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if !strings.HasPrefix(m.Subject, "_INBOX.") {
				return []transport.Msg{m}
			}
			late <- m
			return nil
		})
		go func() {
			m := <-late
			time.Sleep(900 * time.Millisecond)
			f.net.Tap(nil)
			if err := f.net.Dial().PublishMsg(m); err != nil {
				t.Error(err)
			}
		}()
		expectServed(t, f.client(bus.ClientOptions{}), 1)
	})
}

// Who leaves has nothing to look up and answers first. The others are not taken
// for absent because they need a little longer.
func TestAnAnswerOfOneWhoLeavesIsNotTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.serve(bus.Service{}, echo(1))
		leaving := f.net.Dial()
		sub, err := leaving.Subscribe(wire.MenuAllSubject(echo(1).Name), "", func(m transport.Msg) {
			if err := leaving.Publish(m.Reply, "", wire.Served{Instance: "leaving"}.Append(nil)); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		later := f.net.Dial()
		f.net.Tap(func(from *transport.SimConn, m transport.Msg) []transport.Msg {
			if from == leaving || from == later || !strings.HasPrefix(m.Subject, "_INBOX.") {
				return []transport.Msg{m}
			}
			time.AfterFunc(100*time.Millisecond, func() {
				if err := later.PublishMsg(m); err != nil {
					t.Error(err)
				}
			})
			return nil
		})
		expectServed(t, f.client(bus.ClientOptions{}), 1)
		if err := sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	})
}

// In a cluster an announcement may arrive before the word of its sender's
// subscriptions does, which then gets no question. That it was announced holds.
func TestWhoWasJustAnnouncedIsServedThoughItDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.serve(bus.Service{}, echo(1))
		conn := f.net.Dial()
		c := bus.NewClientOn(conn, bus.ClientOptions{})
		defer c.Close()
		expectServed(t, c, 1)
		second := f.serve(bus.Service{}, echo(2))
		time.Sleep(100 * time.Millisecond)
		f.net.Tap(func(_ *transport.SimConn, m transport.Msg) []transport.Msg {
			if strings.HasPrefix(m.Subject, "_INBOX.") && strings.Contains(string(m.Data), second.Instance()) {
				return nil
			}
			return []transport.Msg{m}
		})
		conn.Disconnect() // after which what is known is asked for anew
		conn.Reconnect()
		synctest.Wait()
		expectServed(t, c, 1, 2)
		time.Sleep(2 * time.Second)
		conn.Disconnect()
		conn.Reconnect()
		synctest.Wait()
		expectServed(t, c, 1) // that was long ago
	})
}
