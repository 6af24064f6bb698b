// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// newID returns a random 128-bit subject token.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func newNumber() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1 // not zero
}

// callID is how logs of both sides name a call.
func callID(client string, call uint64) string {
	var buf [32]byte
	return string(strconv.AppendUint(append(append(buf[:0], client[:min(8, len(client))]...), '-'), call, 10))
}
