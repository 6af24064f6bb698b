// SPDX-License-Identifier: Apache-2.0

package transport

import "errors"

// A patient connection publishes when it is not blocked.
type patient struct {
	Conn
	quit <-chan struct{}
}

// Patient returns c for who has no context to wait by: publishing waits while it is
// blocked. Once quit is closed it does not; what is blocked then is not sent, with
// [ErrNotConnected].
func Patient(c Conn, quit <-chan struct{}) Conn { return patient{c, quit} }

// Publish implements [Conn].
func (p patient) Publish(subject, reply string, data []byte) error {
	return p.try(len(data), func() error { return p.Conn.Publish(subject, reply, data) })
}

// PublishMsg implements [Conn].
func (p patient) PublishMsg(m Msg) error {
	return p.try(len(m.Data), func() error { return p.Conn.PublishMsg(m) })
}

func (p patient) try(size int, publish func() error) error {
	for {
		for left := p.Blocked(size); left != nil; left = p.Blocked(size) {
			select {
			case <-left:
			case <-p.quit:
				return ErrNotConnected
			}
		}
		if err := publish(); !errors.Is(err, ErrBlocked) {
			return err
		}
	}
}
