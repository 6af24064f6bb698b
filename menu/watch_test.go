// SPDX-License-Identifier: Apache-2.0

package menu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durabus/durabus/bus"
)

// A town is a fleet that comes and goes, and says so or not.
type town struct {
	bus.Caller
	mu    sync.Mutex
	there map[string]bus.Caller
	f     func(bus.Announcement)
}

func (c *town) Instances(context.Context) (ids []string, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.there {
		ids = append(ids, id)
	}
	return ids, nil
}

func (c *town) At(instance string) bus.Caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.there[instance]; ok {
		return r
	}
	return failing{bus.NoResponder}
}

func (c *town) Hear(name string, f func(bus.Announcement)) (func(), error) {
	if name != bus.MenuDescription.Name {
		return nil, fmt.Errorf("hears of %s", name)
	}
	c.f = f
	return func() {}, nil
}

func (c *town) comes(instance string, ds ...bus.Description) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.there[instance] = responder(instance, ds...)
}

func (c *town) goes(instance string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.there, instance)
}

// watched calls test with a directory of a town where a serves prices.
func watched(t *testing.T, test func(c *town, d *Directory)) {
	synctest.Test(t, func(t *testing.T) {
		c := &town{there: map[string]bus.Caller{}}
		c.comes("a", prices1)
		d, err := Watch(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		expect(t, d, "market.prices.v1 state [a]")
		test(c, d)
	})
}

func expect(t *testing.T, d *Directory, want ...string) {
	t.Helper()
	if m, _ := d.Menu(); !slices.Equal(lines(m), want) {
		t.Errorf("got %q, want %q", lines(m), want)
	}
}

func TestADirectoryFollowsAnnouncementsAtOnce(t *testing.T) {
	watched(t, func(c *town, d *Directory) {
		_, changed := d.Menu()
		c.comes("b", prices1, prices2)
		for range 2 { // announcements are repeated
			c.f(bus.Announcement{Instance: "b", Versions: []int{1}})
		}
		<-changed
		expect(t, d, "market.prices.v1 state [a b]", "market.prices.v2 state [b]")

		_, changed = d.Menu()
		c.f(bus.Announcement{Instance: "a"})
		<-changed
		expect(t, d, "market.prices.v1 state [b]", "market.prices.v2 state [b]")
		_, changed = d.Menu()
		c.f(bus.Announcement{Instance: "b", Versions: []int{1}})
		c.f(bus.Announcement{Instance: "nobody"})
		synctest.Wait()
		select {
		case <-changed:
			t.Error("what is known already is a change")
		default:
		}
	})
}

func TestADirectoryGivesUpWhoIsSilentAndFindsWhoWasNotAnnounced(t *testing.T) {
	watched(t, func(c *town, d *Directory) {
		for range 3 {
			time.Sleep(deadAfter) // a is silent, but answers
			expect(t, d, "market.prices.v1 state [a]")
		}
		c.goes("a")
		c.comes("b", trades)
		time.Sleep(askMost + time.Millisecond)
		if m, _ := d.Menu(); !slices.Contains(m.Names(), trades.Name) {
			t.Errorf("nobody asked, and b was not announced: %v", m)
		}
		time.Sleep(deadAfter + askMost)
		expect(t, d, "market.trades.v1 pipe [b]")
	})
}

func TestAMenuThatDoesNotComeIsAskedForAgain(t *testing.T) {
	watched(t, func(c *town, d *Directory) {
		c.mu.Lock()
		c.there["b"] = failing{}
		c.mu.Unlock()
		c.f(bus.Announcement{Instance: "b", Versions: []int{1}})
		time.Sleep(patience + time.Millisecond)
		expect(t, d, "market.prices.v1 state [a]")
		c.comes("b", trades)
		c.f(bus.Announcement{Instance: "b", Versions: []int{1}})
		synctest.Wait()
		expect(t, d, "market.prices.v1 state [a]", "market.trades.v1 pipe [b]")
	})
}

func TestOnlyAFleetIsWatched(t *testing.T) {
	if _, err := Watch(t.Context(), responder("a")); !errors.Is(err, bus.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestADirectoryKnowsABoundedNumberOfInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &town{there: map[string]bus.Caller{}}
		c.comes("honest", prices1)
		d, err := Watch(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for n := range 20_000 {
			c.f(bus.Announcement{Instance: fmt.Sprint(n), Versions: []int{1}})
		}
		synctest.Wait()
		d.mu.Lock()
		known := len(d.instances)
		d.mu.Unlock()
		if known != mostHeard {
			t.Errorf("%d instances are known, want %d", known, mostHeard)
		}
		if m, _ := d.Menu(); len(m) == 0 {
			t.Error("the honest one is forgotten")
		}
	})
}

func TestADirectoryKeepsABoundedNumberOfLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var long []bus.Description
		for n := range mostLines/2 + 1 {
			long = append(long, bus.Description{Name: fmt.Sprintf("x%d", n), Version: 1, Kind: bus.Unary})
		}
		c := &town{there: map[string]bus.Caller{}}
		c.comes("one", long...)
		c.comes("two", long...)
		d, err := Watch(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		d.mu.Lock()
		defer d.mu.Unlock()
		if n := d.lines(); n < len(long) || n > mostLines {
			t.Errorf("%d lines are kept, want those of one menu of %d", n, len(long))
		}
	})
}
