// SPDX-License-Identifier: Apache-2.0

package bus

import "testing"

// A panickyCodec panics the first time that it decodes.
type panickyCodec struct {
	Codec
	calm bool
}

func (c *panickyCodec) Decode(data []byte, v any) error {
	if !c.calm {
		c.calm = true
		panic("once")
	}
	return c.Codec.Decode(data, v)
}

// The program of the reader may recover the panic, as one that serves HTTP does.
func TestAReaderWhoseCodecPanicsHoldsUpNoOtherOfItsFeed(t *testing.T) {
	c, e := CodecFor[int](&panickyCodec{Codec: JSON}), Element{memo: new(memo)}
	var got int
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the codec did not panic")
			}
		}()
		t.Error(c.DecodeElement(&got, e, []byte("7")))
	}()
	if !e.memo.mu.TryLock() {
		t.Fatal("the next reader waits for ever")
	}
	e.memo.mu.Unlock()
	if err := c.DecodeElement(&got, e, []byte("7")); got != 7 || err != nil {
		t.Errorf("the next reader got %d, %v", got, err)
	}
}
