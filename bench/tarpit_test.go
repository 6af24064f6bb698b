// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestATarpitPassesOnUntilItSwallows(t *testing.T) {
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	pit, err := newTarpit(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := net.Dial("tcp", pit.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = far.Close() }()

	if _, err := far.Write([]byte("update")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := near.Read(got); err != nil || string(got) != "update" {
		t.Errorf("got %q, %v", got, err)
	}
	pit.swallowing.Store(true)
	go func() { _, _ = io.Copy(io.Discard, near) }() // ends with the connection
	if err := far.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("64 MiB that nobody reads were written with %v", err)
	}
}
