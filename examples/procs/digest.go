// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Digests returns the digest of t in every version. Two tables have the same
// digest in a version if that version cannot tell them apart.
func (t Table) Digests() map[int]string {
	return map[int]string{
		ProcessesV1.Version: digest(t.Seq, t.V1().Processes),
		ProcessesV2.Version: digest(t.Seq, t.Processes),
	}
}

// digest is the SHA-256, in hexadecimal, of the sequence number and the lines as
// JSON, each with a newline behind it.
func digest[P any](seq uint64, lines []P) string {
	h := sha256.New()
	fmt.Fprintln(h, seq)
	enc := json.NewEncoder(h)
	enc.SetEscapeHTML(false)
	for _, p := range lines {
		if err := enc.Encode(p); err != nil {
			panic("procs: a line of numbers and text does not encode: " + err.Error())
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
