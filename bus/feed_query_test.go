// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestAFeedDoesNotKeepTheQueryThatItAnswers has readers of many feeds, as a caller may
// have who chooses queries of up to 64 MiB.
func TestAFeedDoesNotKeepTheQueryThatItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.close()
		client, _ := s.dial()
		grows(t, 8<<20, func() {
			for n := range 100 {
				_, updates, err := sums.Client(client)(t.Context(), fmt.Sprint(n, strings.Repeat("x", 1<<20)))
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for range updates { //nolint:revive // to its end
					}
				}()
				synctest.Wait()
			}
		})
		if n := len(s.srv.Snapshot().Streams); n < 100 {
			t.Errorf("%d streams are open", n)
		}
	})
}
