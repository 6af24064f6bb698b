// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// errNotNATS comes with an Op whose wire is what was read so far.
var errNotNATS = errors.New("broker: not the NATS client protocol")

const maxMessage = 64 << 20 // bytes of header and payload; nats-server allows no more

// readOp reads the next operation. Its errors are those of r and errNotNATS.
func readOp(r *bufio.Reader, d Direction) (*Op, error) {
	op := &Op{Direction: d}
	first, err := r.Peek(1)
	if err != nil {
		return nil, err
	}
	if !startsVerb(first[0]) {
		return op, errNotNATS // before a line end is waited for: TLS has none
	}
	line, err := r.ReadSlice('\n')
	op.wire = bytes.Clone(line)
	if err == bufio.ErrBufferFull {
		return op, errNotNATS
	}
	if err != nil {
		return nil, err
	}
	header, total, ok := op.parseLine()
	if !ok {
		return op, errNotNATS
	}
	if !op.IsMessage() {
		return op, nil
	}
	return op, op.readBody(r, header, total)
}

func startsVerb(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '+' || b == '-'
}

// parseLine reads the control line in op.wire. Messages have the length of the
// header and of header and payload together.
func (op *Op) parseLine() (header, total int, ok bool) {
	verb, rest := strings.TrimRight(string(op.wire), "\r\n"), ""
	if i := strings.IndexAny(verb, " \t"); i >= 0 {
		verb, rest = verb[:i], verb[i+1:]
	}
	op.Verb = strings.ToUpper(verb)
	if !op.IsMessage() {
		op.Text = strings.TrimSpace(rest)
		op.parseInterest()
		return 0, 0, true
	}
	args := strings.Fields(rest)
	var sizes, fixed int // how many of the arguments are always there
	switch op.Verb {
	case "PUB":
		sizes, fixed = 1, 2
	case "HPUB":
		sizes, fixed = 2, 3
	case "MSG":
		sizes, fixed = 1, 3
	case "HMSG":
		sizes, fixed = 2, 4
	}
	if len(args) != fixed && len(args) != fixed+1 {
		return 0, 0, false
	}
	op.Subject = args[0]
	if op.Verb == "MSG" || op.Verb == "HMSG" {
		op.SID = args[1]
	}
	if len(args) > fixed {
		op.Reply = args[len(args)-sizes-1]
	}
	if sizes == 2 {
		header, ok = size(args[len(args)-2])
		if !ok {
			return 0, 0, false
		}
	}
	total, ok = size(args[len(args)-1])
	return header, total, ok && header <= total
}

// parseInterest reads the arguments of SUB and UNSUB.
func (op *Op) parseInterest() {
	args := strings.Fields(op.Text)
	switch {
	case op.Verb == "SUB" && len(args) == 2:
		op.Subject, op.SID = args[0], args[1]
	case op.Verb == "SUB" && len(args) == 3:
		op.Subject, op.Queue, op.SID = args[0], args[1], args[2]
	case op.Verb == "UNSUB" && len(args) > 0:
		op.SID = args[0]
	}
}

func size(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= maxMessage
}

// readBody reads what follows the control line of a message.
func (op *Op) readBody(r *bufio.Reader, header, total int) error {
	line := len(op.wire)
	op.wire = append(op.wire, make([]byte, total+2)...)
	if _, err := io.ReadFull(r, op.wire[line:]); err != nil {
		return err
	}
	if !bytes.HasSuffix(op.wire, []byte("\r\n")) {
		return errNotNATS
	}
	if header > 0 {
		op.Header = op.wire[line : line+header : line+header]
	}
	op.Payload = op.wire[line+header : line+total : line+total]
	return nil
}

// encode writes a message from its fields, with the verb that its header needs.
func (op *Op) encode() []byte {
	verb := strings.TrimPrefix(op.Verb, "H")
	if len(op.Header) > 0 {
		verb = "H" + verb
	}
	args := []string{verb, op.Subject}
	if op.Direction == ToClient {
		args = append(args, op.SID)
	}
	if op.Reply != "" {
		args = append(args, op.Reply)
	}
	if len(op.Header) > 0 {
		args = append(args, strconv.Itoa(len(op.Header)))
	}
	line := fmt.Sprintf("%s %d\r\n", strings.Join(args, " "), len(op.Header)+len(op.Payload))
	return fmt.Appendf(nil, "%s%s%s\r\n", line, op.Header, op.Payload)
}
