// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// A program may ask for names that others make up, as a gateway does.
func TestAClientForgetsNamesThatItOnceAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		c := newClient(net.Dial(), ClientOptions{})
		heard := 0
		stop, err := c.Hear("last", func(Announcement) { heard++ })
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 * maxMenus {
			if versions, err := c.Served(t.Context(), "made-up."+strconv.Itoa(n)); err != nil || len(versions) > 0 {
				t.Fatal(versions, err)
			}
		}
		synctest.Wait()
		if n := len(c.box.menus); n > maxMenus {
			t.Errorf("%d names are kept", n)
		}
		far := net.Dial()
		if err := far.Publish(wire.AnnounceSubject("last"), "", wire.Served{Instance: "far", Versions: []uint32{1, 3}}.Append(nil)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if versions, err := c.Served(t.Context(), "last"); heard != 1 || !slices.Equal(versions, []int{1, 3}) || err != nil {
			t.Errorf("of a name that is listened for %d announcements were heard, served are %v, %v", heard, versions, err)
		}
		stop()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
