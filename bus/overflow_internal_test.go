// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// count returns n bytes of which no two that are near one another are alike.
func count(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func TestWhatABrokerDoesNotTakeNowIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o, sent := newOverflow(near), count(3<<20)
		got := make([]byte, len(sent))
		const first = 10_000 // of a write that is cut short
		go io.ReadFull(far, got[:first])
		for rest := sent; len(rest) > 0; {
			began := time.Now()
			n, err := o.write(rest[:min(len(rest), 100_000)])
			if err != nil || time.Since(began) > writeSoon {
				t.Fatalf("wrote %d after %v: %v", n, time.Since(began), err)
			}
			rest = rest[n:]
		}
		left := o.blocked(0)
		if left == nil || o.blocked(3<<20) != nil {
			t.Fatal("nothing waits, or more than was written")
		}
		if _, err := io.ReadFull(far, got[first:]); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("not what was written: %v", err)
		}
		<-left
		if o.blocked(0) != nil {
			t.Error("something waits still")
		}
		go io.Copy(io.Discard, far)
		if n, err := o.write(sent); n != len(sent) || err != nil || o.blocked(0) != nil {
			t.Errorf("once all had left %d were written: %v", n, err)
		}
		o.close()
		far.Close()
	})
}

func TestABrokerThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o := newOverflow(near)
		began := time.Now()
		if n, err := o.write(count(100)); n != 100 || err != nil {
			t.Fatalf("wrote %d: %v", n, err)
		}
		select {
		case <-o.blocked(0):
		case <-time.After(time.Minute):
			near.Close()
		}
		if took := time.Since(began); took != writeSoon+takesNothing {
			t.Errorf("given up after %v", took)
		}
		if _, err := o.write(count(1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("then it says %v", err)
		}
		if _, err := io.ReadAll(far); err != nil {
			t.Errorf("and its peer %v", err)
		}
		far.Close()
	})
}

func TestABrokerThatTakesLittleIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o, sent := newOverflow(near), count(20)
		if _, err := o.write(sent); err != nil {
			t.Fatal(err)
		}
		left := o.blocked(0)
		got := make([]byte, len(sent))
		for i := range got {
			time.Sleep(takesNothing - time.Second)
			if _, err := far.Read(got[i : i+1]); err != nil {
				t.Fatalf("after %d: %v", i, err)
			}
		}
		<-left
		if n, err := o.write(nil); n != 0 || err != nil || !bytes.Equal(got, sent) {
			t.Errorf("got %x: %v", got, err)
		}
		o.close()
		far.Close()
	})
}

func TestNoMoreThanSoMuchWaitsForABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o := newOverflow(near)
		for range 2 {
			if n, err := o.write(count(mostWaiting)); n != mostWaiting || err != nil {
				t.Fatalf("wrote %d: %v", n, err)
			}
		}
		wrote := make(chan time.Duration)
		began := time.Now()
		go func() {
			n, err := o.write(count(1))
			if n != 1 || err != nil {
				t.Errorf("wrote %d: %v", n, err)
			}
			wrote <- time.Since(began)
		}()
		time.Sleep(time.Second)
		go io.Copy(io.Discard, far)
		if took := <-wrote; took != time.Second {
			t.Errorf("it was written after %v", took)
		}
		if left := o.blocked(0); left != nil {
			<-left
		}
		o.close()
		far.Close()
	})
}

func TestWhatWaitsMayLeaveBeforeAConnectionIsClosed(t *testing.T) {
	for name, reads := range map[string]bool{"it does": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				o := newOverflow(near)
				if _, err := o.write(count(100)); err != nil {
					t.Fatal(err)
				}
				got := make(chan int, 1)
				if reads {
					go func() {
						time.Sleep(lastWords / 2)
						b, _ := io.ReadAll(far)
						got <- len(b)
					}()
				}
				began := time.Now()
				o.close()
				took := time.Since(began)
				switch {
				case !reads && took != lastWords:
					t.Errorf("closed after %v", took)
				case reads && (took != lastWords/2 || <-got != 100):
					t.Errorf("closed after %v, with something that had not left", took)
				}
				far.Close()
			})
		})
	}
}
