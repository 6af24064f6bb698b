// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// A script is a connection on which the broker says these texts, each in a read of
// its own, and ends it then.
type script struct {
	net.Conn
	texts []string
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.texts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.texts[0])
	if s.texts[0] = s.texts[0][n:]; s.texts[0] == "" {
		s.texts = s.texts[1:]
	}
	return n, nil
}

func (s *script) Write(b []byte) (int, error) { return len(b), nil }

// A byte that is kept back until another comes is a message that is late.
func TestNothingIsKeptBackOfWhatIsNotReadable(t *testing.T) {
	for name, first := range map[string]string{"TLS": "\x16\x03\x01", "a WebSocket": "GET / HTTP/1.1\r\n", "nothing yet": ""} {
		c := &forgivingConn{Conn: &script{texts: []string{"\x17-", "\x18-ERR '"}}}
		if first != "" {
			if _, err := c.Write([]byte(first)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"\x17-", "\x18-ERR '"} {
			b := make([]byte, 100)
			if n, err := c.Read(b); err != nil || string(b[:n]) != want {
				t.Errorf("%s: read %q, %v; want %q", name, b[:n], err, want)
			}
		}
	}
}

func TestTheLastWordOfABrokerIsDroppedAndNothingElseIs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		says  []string
		heard string
	}{
		{"alone", []string{"PING\r\n", tooMuch}, "PING\r\n"},
		{"behind something", []string{"PING\r\n" + tooMuch}, "PING\r\n"},
		{"in parts", []string{"PING\r\n-ERR 'Max", "imum Payload Viola", "tion'\r\n"}, "PING\r\n"},
		{"byte by byte", strings.Split("PING\r\n"+tooMuch, ""), "PING\r\n"},
		{"before something", []string{tooMuch, "PING\r\n"}, tooMuch + "PING\r\n"},
		{"twice", []string{tooMuch + tooMuch}, tooMuch},
		{"a part of it", []string{"PING\r\n-ERR 'Max"}, "PING\r\n-ERR 'Max"},
		{"another error", []string{"-ERR 'Maximum ", "Connections Exceeded'\r\n"}, "-ERR 'Maximum Connections Exceeded'\r\n"},
		{"in a message", []string{"MSG a 1 40\r\n", "-ERR 'M", "-ERR 'Maximum Payload Violation'\r\n", "x\r\n"}, "MSG a 1 40\r\n-ERR 'M-ERR 'Maximum Payload Violation'\r\nx\r\n"},
	} {
		for name, read := range map[string]func(io.Reader) io.Reader{
			"": func(r io.Reader) io.Reader { return r }, ", read in halves": iotest.HalfReader,
		} {
			c := &forgivingConn{Conn: &script{texts: append([]string(nil), tt.says...)}}
			if _, err := c.Write([]byte("CONNECT {}\r\n")); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(read(c))
			if string(got) != tt.heard || err != nil {
				t.Errorf("%s%s: heard %q, %v; want %q", tt.name, name, got, err, tt.heard)
			}
		}
	}
}
