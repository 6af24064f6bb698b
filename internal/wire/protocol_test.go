// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/durabus/durabus/internal/wire/wirepb"
)

// rows returns the first cells of the rows of the first table after a heading of
// docs/protocol.md, joined by spaces.
func rows(t *testing.T, heading string, cells int) (rows []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/protocol.md has no heading %q", heading)
	}
	_, table, _ := strings.Cut(section, "|---|")
	_, table, _ = strings.Cut(table, "\n")
	for line := range strings.Lines(table) {
		parts := strings.Split(line, "|")
		if len(parts) < cells+2 {
			break
		}
		for i, p := range parts {
			parts[i] = strings.TrimSpace(p)
		}
		rows = append(rows, strings.Join(parts[1:1+cells], " "))
	}
	return rows
}

func TestTheDocumentHasEveryFieldOfEveryFrame(t *testing.T) {
	messages := wirepb.File_frames_proto.Messages()
	frame := messages.ByName("Frame")
	var kinds []string
	for i := range frame.Fields().Len() {
		f := frame.Fields().Get(i)
		kinds = append(kinds, fmt.Sprintf("%d %s", f.Number(), f.Name()))
	}
	same(t, "## Frames", rows(t, "## Frames", 2), kinds)
	for i := range messages.Len() {
		m := messages.Get(i)
		switch m.Name() {
		case "Packet", "Frame", "Pair":
			continue
		}
		var fields []string
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			kind := f.Kind().String()
			if f.Kind() == protoreflect.MessageKind {
				kind = string(f.Message().Name())
			}
			fields = append(fields, fmt.Sprintf("%d %s %s", f.Number(), f.Name(), kind))
		}
		heading := "### " + string(m.Name())
		same(t, heading, rows(t, heading, 3), fields)
	}
}

func same(t *testing.T, heading string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("docs/protocol.md, %q has\n%s\nthe code has\n%s", heading, g, w)
	}
}
