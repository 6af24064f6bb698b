// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/durabus/durabus/internal/wire"
)

var update = flag.Bool("update", false, "write testdata/frames.golden anew")

// golden is a packet of each kind of frame with all its fields, and some that
// are as they are sent. A change of its file is a change of the protocol.
var golden = []struct {
	name   string
	packet []byte
}{
	{"open, unary", wire.AppendNumber(wire.Open{
		Protocol: 1, Client: "C7", Call: 5, Kind: 2, TimeoutUS: 1_000_000, SentUS: 86_400_000_000, Allow: 65536,
		PeerCredit: 262144, ContentType: "application/json", Query: []byte(`"AAPL"`),
	}.Append(nil), 5)},
	{"open, all fields", wire.AppendNumber(wire.Open{
		Protocol: 1, Minor: 2, Features: 3, Client: "C7", Call: 300, Kind: 4, TimeoutUS: 7, SentUS: 8, Allow: 9, Credit: 10,
		PeerCredit: 11, ContentType: "x", Metadata: map[string]string{"b": "2", "a": "1", "": ""}, Epoch: "E", Position: 15,
		Total: 1 << 20, Query: []byte("begin"),
	}.Append(nil), 300)},
	{"accept, first, end: an answer", wire.End{Call: 5, Seq: 2}.Append(wire.First{Call: 5, Seq: 1, Data: []byte("{}")}.Append(
		wire.Accept{Call: 5, Protocol: 1, Instance: "I9"}.Append(nil)))},
	{"accept, all fields", wire.Accept{
		Call: 1, Protocol: 2, Minor: 3, Features: 4, Instance: "I9", Credit: 6, Session: 7, Used: 8,
	}.Append(nil)},
	{"first, all fields", wire.First{
		Call: 1, Seq: 2, Metadata: map[string]string{"region": "eu"}, Epoch: "E", Position: 5, Total: 6, Data: []byte("state"),
		Resumed: true, Feed: "F3",
	}.Append(nil)},
	{"data", wire.Data{
		Call: 1, Seq: 2, Before: 3, Last: 5, Blocked: wire.BlockedOnStream | wire.BlockedOnPeer, Elements: []byte("\x32\x03one\x32\x00"),
	}.Append(nil)},
	{"data, largest numbers", wire.Data{Call: 1<<64 - 1, Seq: 1<<64 - 1, Before: 1<<64 - 1, Last: 1<<64 - 1, Blocked: 1<<32 - 1}.Append(nil)},
	{"chunk", wire.Chunk{Call: 1, Seq: 2, Before: 3, Last: 4, Blocked: 1, Total: 6, Data: []byte("piece")}.Append(nil)},
	{"fault", wire.Fault{Call: 1, Seq: 2, Error: &wire.Error{Code: "inconvertible", Message: "no such side"}}.Append(nil)},
	{"end with an error, all fields", wire.End{Call: 1, Seq: 2, Count: 3, Error: &wire.Error{
		Code: "application", Message: "halted", MayHaveRun: true, Instance: "I9", CallID: "c", Type: "halted", Detail: []byte("{}"),
	}}.Append(nil)},
	{"end with an empty error", wire.End{Call: 1, Error: &wire.Error{}}.Append(nil)},
	{"credit", wire.Credit{Call: 1, Total: 262144, Peer: 8388608}.Append(nil)},
	{"cancel", wire.Cancel{Call: 1}.Append(nil)},
	{"beat", wire.AppendNumber(wire.Beat{
		From: "I9", Full: true, Peer: 8388608, Calls: []wire.BeatCall{{Call: 1, Number: 2}, {}, {Call: 3}}, Used: 5,
	}.Append(nil), 17)},
	{"reset", wire.Reset{Call: 1}.Append(nil)},
	{"ask", wire.Ask{Protocol: 1, Name: "market.prices"}.Append(nil)},
	{"served", wire.Served{Instance: "I9", Versions: []uint32{1, 2, 300}}.Append(nil)},
	{"join", wire.AppendNumber(wire.Join{Call: 1, Feed: "F3", From: 300}.Append(nil), 9)},
	{"feed, all fields", wire.Feed{
		Call: 1, Before: 7, Last: 10, Steps: []uint32{1, 0, 2}, Faults: []uint32{1}, Elements: []byte("\x32\x03one\x32\x00\x32\x01a"),
	}.Append(nil)},
	{"feed, a mark", wire.Feed{Before: 10, Last: 10}.Append(nil)},
	{"a frame of nothing", wire.Cancel{}.Append(nil)},
}

func TestFramesAreAsTheGoldenFileHasThem(t *testing.T) {
	var b strings.Builder
	for _, g := range golden {
		fmt.Fprintf(&b, "# %s\n", g.name)
		for line := g.packet; len(line) > 0; {
			n := min(32, len(line))
			fmt.Fprintln(&b, hex.EncodeToString(line[:n]))
			line = line[n:]
		}
	}
	const file = "testdata/frames.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("frames are not as in %s; if they should differ, run with -update\n%s", file, b.String())
	}
}

func TestTheGoldenFileHasEveryKindOfFrame(t *testing.T) {
	has := map[wire.Kind]bool{}
	for _, g := range golden {
		for rest := g.packet; ; {
			k, _, after, err := wire.Next(rest)
			if err != nil {
				t.Fatalf("%s: %v", g.name, err)
			}
			if k == 0 {
				break
			}
			has[k], rest = true, after
		}
	}
	for k := wire.KindOpen; k <= wire.KindFeed; k++ {
		if !has[k] {
			t.Errorf("there is no %v", k)
		}
	}
}
