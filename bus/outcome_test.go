// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestEveryCodeHasAnOutcome(t *testing.T) {
	for _, c := range codes {
		want, ok := outcomes[c]
		if !ok {
			t.Errorf("%v has none", c)
		}
		for _, err := range []error{c, &Error{Code: c}, fmt.Errorf("wrapped: %w", &Error{Code: c, Err: Panicked})} {
			if got := OutcomeOf(err); got != want {
				t.Errorf("%v is %q, want %q", err, got, want)
			}
		}
	}
	if len(outcomes) != len(codes) {
		t.Errorf("%d codes have an outcome, there are %d", len(outcomes), len(codes))
	}
}

func TestOtherErrorsHaveAnOutcome(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want Outcome
	}{
		{nil, Succeeded},
		{context.Canceled, Abandoned},
		{fmt.Errorf("late: %w", context.DeadlineExceeded), Abandoned},
		{errors.New("any"), Faulty},
		{&Error{Code: "of a newer release"}, Faulty},
	} {
		if got := OutcomeOf(tc.err); got != tc.want {
			t.Errorf("%v is %q, want %q", tc.err, got, tc.want)
		}
	}
}
