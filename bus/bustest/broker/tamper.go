// SPDX-License-Identifier: Apache-2.0

package broker

// A Tamper decides what happens to an operation of the NATS client protocol that
// passes a proxy. It is called for one operation at a time, whatever their
// connection; those of one connection and direction come in order. The proxy
// waits for it. It may call the proxy's methods, except Close. It may give op other
// slices but not write into those it has, nor keep them.
type Tamper func(op *Op) Verdict

// A Verdict is a Tamper's decision about one [Op].
type Verdict int

const (
	Pass   Verdict = iota // deliver it as it came
	Drop                  // do not deliver it
	Repeat                // deliver it twice
	// Swap delivers a message after the next one of the same connection and
	// direction, which cannot be swapped itself. Where no other follows it is not
	// delivered. Other operations pass.
	Swap
	// Replace delivers a message as op's fields are when the Tamper returns.
	// Other operations pass.
	Replace
)

// An Op is one operation of the NATS client protocol. Fields that its verb does
// not have are empty.
type Op struct {
	Direction Direction

	// Verb is in upper case. To the server go CONNECT, PUB, HPUB, SUB, UNSUB, PING
	// and PONG, to the client INFO, MSG, HMSG, +OK, -ERR, PING and PONG.
	Verb string

	Subject string
	SID     string // the client's number for the subscription
	Queue   string // the group of a SUB
	Reply   string

	// Header is the header block from "NATS/1.0" to the empty line, which
	// nats.DecodeHeadersMsg reads.
	Header  []byte
	Payload []byte

	// Text is what follows the verb in other operations than messages: the JSON
	// of INFO and CONNECT, the words of -ERR.
	Text string

	wire []byte // as it came
}

// IsMessage reports whether op carries a message: PUB, HPUB, MSG or HMSG.
func (op *Op) IsMessage() bool {
	switch op.Verb {
	case "PUB", "HPUB", "MSG", "HMSG":
		return true
	}
	return false
}

// tampered returns what to deliver for op. Only the lane's reader calls it.
func (l *lane) tampered(op *Op) (out [][]byte) {
	verdict := l.proxy.verdict(op)
	if !op.IsMessage() && verdict >= Swap {
		verdict = Pass
	}
	switch {
	case verdict == Swap && l.held == nil:
		l.held = op.wire
		return nil
	case verdict == Drop:
	case verdict == Repeat:
		out = append(out, op.wire, op.wire)
	case verdict == Replace:
		out = append(out, op.encode())
	default:
		out = append(out, op.wire)
	}
	if l.held != nil && op.IsMessage() {
		out = append(out, l.held)
		l.held = nil
	}
	return out
}
