// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bufio"
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestOperationsAreRead(t *testing.T) {
	header := "NATS/1.0\r\nA: b\r\n\r\n" // 18 bytes
	for _, tt := range []struct {
		wire string
		want Op
	}{
		{"PING\r\n", Op{Verb: "PING"}},
		{"+OK\r\n", Op{Verb: "+OK"}},
		{"-ERR 'Stale Connection'\r\n", Op{Verb: "-ERR", Text: "'Stale Connection'"}},
		{"INFO {\"a\":\"b c\"}\r\n", Op{Verb: "INFO", Text: `{"a":"b c"}`}},
		{"connect {}\r\n", Op{Verb: "CONNECT", Text: "{}"}},
		{"SUB a.> 7\r\n", Op{Verb: "SUB", Text: "a.> 7", Subject: "a.>", SID: "7"}},
		{"SUB a q 7\r\n", Op{Verb: "SUB", Text: "a q 7", Subject: "a", Queue: "q", SID: "7"}},
		{"UNSUB 7 2\r\n", Op{Verb: "UNSUB", Text: "7 2", SID: "7"}},
		{"PUB a 2\r\nhi\r\n", Op{Verb: "PUB", Subject: "a", Payload: []byte("hi")}},
		{"pub\ta  r\t0\r\n\r\n", Op{Verb: "PUB", Subject: "a", Reply: "r", Payload: []byte{}}},
		{"PUB a 2\r\n\r\n\r\n", Op{Verb: "PUB", Subject: "a", Payload: []byte("\r\n")}},
		{"HPUB a r 18 20\r\n" + header + "hi\r\n", Op{Verb: "HPUB", Subject: "a", Reply: "r", Header: []byte(header), Payload: []byte("hi")}},
		{"HPUB a 18 18\r\n" + header + "\r\n", Op{Verb: "HPUB", Subject: "a", Header: []byte(header), Payload: []byte{}}},
		{"MSG a 7 2\r\nhi\r\n", Op{Verb: "MSG", Subject: "a", SID: "7", Payload: []byte("hi")}},
		{"MSG a 7 r 2\r\nhi\r\n", Op{Verb: "MSG", Subject: "a", SID: "7", Reply: "r", Payload: []byte("hi")}},
		{"HMSG a 7 18 20\r\n" + header + "hi\r\n", Op{Verb: "HMSG", Subject: "a", SID: "7", Header: []byte(header), Payload: []byte("hi")}},
		{"HMSG a 7 r 18 20\r\n" + header + "hi\r\n", Op{Verb: "HMSG", Subject: "a", SID: "7", Reply: "r", Header: []byte(header), Payload: []byte("hi")}},
	} {
		r := bufio.NewReader(strings.NewReader(tt.wire + "PONG\r\n"))
		op, err := readOp(r, ToServer)
		if err != nil {
			t.Errorf("%q: %v", tt.wire, err)
			continue
		}
		tt.want.Direction, tt.want.wire = ToServer, []byte(tt.wire)
		if !reflect.DeepEqual(*op, tt.want) {
			t.Errorf("%q reads as\n%+v, want\n%+v", tt.wire, *op, tt.want)
		}
		if next, err := readOp(r, ToServer); err != nil || next.Verb != "PONG" {
			t.Errorf("after %q: %+v, %v", tt.wire, next, err)
		}
	}
}

func TestWhatIsNotNATSIsSaidAndNotLost(t *testing.T) {
	for _, tt := range []struct {
		wire string
		kept string // the rest stays in the reader
	}{
		{"\x16\x03\x01 a TLS hello without a line end", ""},
		{" PING\r\n", ""},
		{"PUB a\r\n", "PUB a\r\n"},
		{"PUB a b c 1\r\nx\r\n", "PUB a b c 1\r\n"},
		{"PUB a -1\r\n", "PUB a -1\r\n"},
		{"PUB a many\r\n", "PUB a many\r\n"},
		{"PUB a 67108865\r\n", "PUB a 67108865\r\n"},
		{"HPUB a 3 2\r\nhi\r\n", "HPUB a 3 2\r\n"},
		{"HPUB a x 2\r\nhi\r\n", "HPUB a x 2\r\n"},
		{"MSG a 2\r\nhi\r\n", "MSG a 2\r\n"},
		{"PUB a 1\r\nhi\r\n", "PUB a 1\r\nhi\r"},
		{"INFO " + strings.Repeat("x", 100) + "\r\n", "INFO " + strings.Repeat("x", 59)},
	} {
		r := bufio.NewReaderSize(strings.NewReader(tt.wire), 64)
		op, err := readOp(r, ToServer)
		if err != errNotNATS {
			t.Errorf("%q: error %v, want %v", tt.wire, err, errNotNATS)
			continue
		}
		rest, _ := io.ReadAll(r)
		if string(op.wire) != tt.kept || tt.kept+string(rest) != tt.wire {
			t.Errorf("%q: kept %q, want %q; left %q", tt.wire, op.wire, tt.kept, rest)
		}
	}
}

func TestAnOperationCutOffIsNone(t *testing.T) {
	for _, wire := range []string{"", "PIN", "PING", "PUB a 2\r\n", "PUB a 2\r\nhi", "PUB a 2\r\nhi\r"} {
		_, err := readOp(bufio.NewReader(strings.NewReader(wire)), ToServer)
		if err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Errorf("%q: error %v, want an end of file", wire, err)
		}
	}
}

func FuzzReadOp(f *testing.F) {
	for _, s := range []string{
		"PING\r\n", "SUB a q 1\r\n", "PUB a 2\r\nhi\r\n", "HPUB a r 3 4\r\nabcd\r\n", "MSG a 1 r 0\r\n\r\n", "HMSG a 1 0 1\r\nx\r\n", "PUB a 1\r\nhi\r\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, wire []byte, toServer bool) {
		d := ToClient
		if toServer {
			d = ToServer
		}
		in := bytes.NewReader(wire)
		r := bufio.NewReader(in)
		op, err := readOp(r, d)
		if err != nil && err != errNotNATS {
			return // cut off
		}
		rest, _ := io.ReadAll(r)
		if !bytes.Equal(append(bytes.Clone(op.wire), rest...), wire) {
			t.Fatalf("%q became %q and %q", wire, op.wire, rest)
		}
		if err != nil || !op.IsMessage() || toServer == strings.HasSuffix(op.Verb, "MSG") {
			return
		}
		again, err := readOp(bufio.NewReader(bytes.NewReader(op.encode())), d)
		if err != nil {
			t.Fatalf("%q encoded as %q: %v", wire, op.encode(), err)
		}
		if len(op.Header) == 0 {
			op.Verb = strings.TrimPrefix(op.Verb, "H")
		}
		op.wire, again.wire = nil, nil
		if !reflect.DeepEqual(op, again) {
			t.Fatalf("%q reads as\n%+v, and encoded and read again as\n%+v", wire, op, again)
		}
	})
}
