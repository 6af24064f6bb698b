// SPDX-License-Identifier: Apache-2.0

package unaryrpc

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/durabus/durabus/bus"
)

func TestNilFuncsStayNilThroughConversions(t *testing.T) {
	var f Func[string, string]
	same := func(s string) string { return s }
	if f.MapErrors(nil) != nil || Convert(same, same)(f) != nil {
		t.Error("a nil Func became one that Serve would take")
	}
}

func TestFirstGoesOnAfterUnservedAlone(t *testing.T) {
	gone := &bus.Error{Code: bus.Gone}
	unserved := &bus.Error{Code: bus.Unserved}
	converted := &bus.Error{Code: bus.Inconvertible, Err: unserved}
	for name, tc := range map[string]struct {
		candidates []error
		tried      int
		want       error
	}{
		"the first answers":             {[]error{nil, nil}, 1, nil},
		"the first is unserved":         {[]error{unserved, nil, nil}, 2, nil},
		"the first fails otherwise":     {[]error{gone, nil}, 1, gone},
		"its conversion found another":  {[]error{converted, nil}, 1, converted},
		"none is left, and none served": {[]error{unserved, unserved}, 2, errNone},
	} {
		tried := 0
		f := Func[string, int](nil).First(func(_ context.Context, after int) (Func[string, int], int, error) {
			i := after + 1
			if i == len(tc.candidates) {
				return nil, 0, errNone
			}
			return func(context.Context, string) (int, error) { tried++; return i, tc.candidates[i] }, i, nil
		})
		_, err := f(t.Context(), "")
		if tried != tc.tried || err != tc.want {
			t.Errorf("%s: tried %d and got %v, want %d and %v", name, tried, err, tc.tried, tc.want)
		}
	}
}

var errNone = errors.New("none is left")

func TestConvertTurnsQueryAnswerAndErrors(t *testing.T) {
	old := Func[int, int](func(_ context.Context, n int) (int, error) {
		if n == 0 {
			return 0, strconv.ErrRange
		}
		return n * 2, nil
	})
	query := func(s string) int { n, _ := strconv.Atoi(s); return n }
	young := Convert(query, strconv.Itoa, func(err error) (error, bool) { return errNone, err == strconv.ErrRange })(old)
	if s, err := young(t.Context(), "21"); s != "42" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	if s, err := young(t.Context(), "0"); s != "" || err != errNone {
		t.Errorf("got %q, %v", s, err)
	}
}
