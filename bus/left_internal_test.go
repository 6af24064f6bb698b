// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/durabus/durabus/internal/transport"
	"github.com/durabus/durabus/internal/wire"
)

// A reader may leave while the word comes that somebody has the call: it is past
// its look at who that is, and has yet to forget the call.
func TestACallThatIsAcceptedWhileItsReaderLeavesIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewNet(1)
		b, far := newMailbox(net.Dial()), net.Dial()
		var told []byte
		sub, err := far.Subscribe("_D.c.far.token.1", "", func(m transport.Msg) { told = append(told, m.Data...) })
		if err != nil {
			t.Fatal(err)
		}
		c := newInCall(Unary)
		c.box, c.id, c.route = b, b.next(), &route{box: b, desc: Description{Name: "a", Version: 1, Kind: Unary}}
		if err := b.begin(c); err != nil {
			t.Fatal(err)
		}
		left := make(chan struct{})
		b.mu.Lock()
		go func() {
			c.finish()
			close(left)
		}()
		for !c.left() {
			runtime.Gosched()
		}
		b.accepted(&wire.Accept{Call: c.id, Protocol: protocolVersion, Instance: "far", Session: 1}, "_D.c.far.token.1", 1)
		p := b.peers["far"]
		b.mu.Unlock()
		<-left
		synctest.Wait()
		if cancel := (wire.Cancel{Call: c.id}).Append(nil); !bytes.Contains(told, cancel) {
			t.Errorf("the responder was told %x, without %x", told, cancel)
		}
		if err := far.Publish(b.reply(c.id), "", wire.End{Call: c.id}.Append(nil)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(p.all()) > 0 || len(b.calls) > 0 {
			t.Errorf("when it has ended %d calls are kept, and %d of the responder", len(b.calls), len(p.all()))
		}
		if err := b.close(); err != nil {
			t.Error(err)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	})
}
