// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/piperpc"
	"github.com/durabus/durabus/staterpc"
	"github.com/durabus/durabus/versioned"
)

// A protocol library of three versions: version 1 has cents as numbers, version
// 2 has them as a type, version 3 has whole units as text. Between 2 and 3
// updates fail, fall away and become two.

type cents struct{ N int }

type haltedV1 struct{ S string }

func (h *haltedV1) Error() string { return h.S + " is halted, says version 1" }

var (
	prices1 = staterpc.RPC[string, int, int]{
		Name: "laws.prices", Version: 1,
		Errors: []bus.ErrorType{bus.ErrorOf[*haltedV1]("halted")},
	}
	prices2 = staterpc.RPC[string, cents, cents]{
		Name: "laws.prices", Version: 2,
		Errors: []bus.ErrorType{bus.ErrorOf[*halted]("halted")},
	}
	prices3 = staterpc.RPC[string, string, string]{
		Name: "laws.prices", Version: 3,
		Errors: []bus.ErrorType{bus.ErrorOf[*halted]("halted")},
	}

	family2 = versioned.New(prices2, versioned.Via(prices1, upFrom1, downTo1))
	family3 = versioned.New(prices3, versioned.Via(family2, upFrom2, downTo2))
)

var (
	upFrom1 = staterpc.Convert(same[string], toCents, toCents,
		bus.MapError(func(h *haltedV1) *halted { return &halted{h.S} }))
	downTo1 = staterpc.Convert(same[string], fromCents, fromCents,
		bus.MapError(func(h *halted) *haltedV1 { return &haltedV1{h.Symbol} }))
)

func same[T any](v T) T     { return v }
func toCents(n int) cents   { return cents{n} }
func fromCents(c cents) int { return c.N }

var (
	errNegative = errors.New("a negative price")
	errNoQuery  = errors.New("version 2 cannot be asked that")
)

func upFrom2(f staterpc.Func[string, cents, cents]) staterpc.Func[string, string, string] {
	return func(ctx context.Context, q string) (string, iter.Seq2[string, error], error) {
		if q == "inconvertible" {
			return "", nil, errNoQuery
		}
		c, updates, err := f(ctx, q)
		if err != nil {
			return "", nil, err
		}
		return units(c), piperpc.Split(updates, splitUnits), nil
	}
}

func units(c cents) string { return strconv.Itoa(c.N / 100) }

func splitUnits(c cents, yield func(string) bool) error {
	switch {
	case c.N < 0:
		return errNegative
	case c.N == 0: // nothing to say
	case c.N > 1000:
		half := units(cents{c.N / 2})
		if yield(half) {
			yield(half)
		}
	default:
		yield(units(c))
	}
	return nil
}

func downTo2(f staterpc.Func[string, string, string]) staterpc.Func[string, cents, cents] {
	return func(ctx context.Context, q string) (none cents, _ iter.Seq2[cents, error], err error) {
		s, updates, err := f(ctx, q)
		if err != nil {
			return none, nil, err
		}
		c, err := parseUnits(s)
		if err != nil {
			return none, nil, fmt.Errorf("state: %w", err)
		}
		return c, piperpc.Map(updates, parseUnits), nil
	}
}

func parseUnits(s string) (cents, error) {
	n, err := strconv.Atoi(s)
	return cents{n * 100}, err
}
