// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/durabus/durabus/bus"
	"github.com/durabus/durabus/bus/busdebug"
)

// maxPage bounds what is read of a page.
const maxPage = 256 << 20

// runStreams shows what a process has open, by its debug endpoint.
func runStreams(ctx context.Context, t *tool, args []string) error {
	var fs flag.FlagSet
	watch := fs.Bool("watch", false, "print it every second, until interrupted")
	raw := fs.Bool("json", false, "print it as it came")
	limit := fs.Uint("limit", 100, "how many streams to show at most of each client and server, those in trouble first")
	timeout := fs.Duration("timeout", 5*time.Second, "how long to wait for an answer")
	if err := t.parse(&fs, args, 1, 1); err != nil {
		return err
	}
	at, err := url.Parse(fs.Arg(0))
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return failed(exitUsage, "%q is not the URL of a debug endpoint, such as http://127.0.0.1:6060/debug/durabus", fs.Arg(0))
	}
	query := at.Query()
	query.Set("limit", fmt.Sprint(*limit))
	at.RawQuery = query.Encode()
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		page, err := fetchPage(ctx, at, *timeout)
		switch {
		case ctx.Err() != nil && *watch:
			return nil
		case err == nil && *raw:
			_, err = t.out.Write(page)
		case err == nil:
			err = t.printPage(page, at)
		}
		if err != nil || !*watch {
			return err
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// fetchPage returns what the endpoint says.
func fetchPage(ctx context.Context, at *url.URL, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	const next = "does the process mount busdebug.Handler there?"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, failed(exitUsage, "%v", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return nil, failed(exitFailed, "%v; %s", err, next)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	switch {
	case err != nil:
		return nil, failed(exitFailed, "%s broke off: %v", at.Redacted(), err)
	case answer.StatusCode != http.StatusOK:
		return nil, failed(exitFailed, "%s answers %s; %s", at.Redacted(), answer.Status, next)
	}
	return page, nil
}

// printPage prints a table for each client and each server. It is written at
// once, so that a page is not torn on a screen.
func (t *tool) printPage(data []byte, at *url.URL) error {
	var page busdebug.Page
	if err := json.Unmarshal(data, &page); err != nil || page.Snapshots == nil {
		return failed(exitFailed, "%s does not serve what busdebug.Handler does", at.Redacted())
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s (%d), %s: %d streams", printable(page.Program), page.PID, time.Now().Format("15:04:05"), page.Total)
	if page.Shown < page.Total {
		fmt.Fprintf(&b, ", of which %d are shown; -limit shows more", page.Shown)
	}
	fmt.Fprintln(&b)
	for _, s := range page.Snapshots {
		fmt.Fprintf(&b, "\n%s %s%s\n", printable(s.Side), printable(s.ID), counted(s.Counters))
		if len(s.Streams) > 0 {
			printStreams(&b, s.Streams)
		}
	}
	_, err := b.WriteTo(t.out)
	return err
}

// counted says which counters are not 0.
func counted(c bus.Counters) (said string) {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if n := v.Field(i).Uint(); n > 0 {
			said += fmt.Sprintf(" %s=%d", v.Type().Field(i).Tag.Get("json"), n)
		}
	}
	return said
}

func printStreams(b *bytes.Buffer, streams []bus.StreamInfo) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tRPC\tPEER\tCALL\tAGE\tPOSITION\tFRAMES\tCREDIT\tSHARED\tQUEUED\tHEARD\tWAITS FOR")
	for _, i := range streams {
		role, peer, age, heard := string(i.Role), i.Peer, since(i.Age), since(i.Heard)
		if i.Role == bus.RoleFeed {
			role = fmt.Sprintf("feed of %d", i.Readers)
		}
		if i.Role == bus.RoleMember {
			age = "-"
		}
		if peer == "" {
			heard = "-"
		}
		fmt.Fprintf(w, "%s\t%s.v%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\t%s\t%s\n",
			printable(role), printable(i.Name), i.Version, printable(cmp.Or(peer, "-")), printable(cmp.Or(i.CallID, "-")), age, position(i), i.Frames,
			credit(i.Credit), credit(i.Shared), i.Queued, heard, printable(cmp.Or(string(i.Waits), "-")))
	}
	_ = w.Flush() // to memory
}

// position is that in the source, if it says where it stands; of a client's feed
// the source's name is not known.
func position(i bus.StreamInfo) string {
	if i.Epoch == "" && i.Feed == "" {
		return "-"
	}
	return fmt.Sprint(i.Position)
}

// credit is what was used of what was granted.
func credit(c bus.Credit) string {
	if c.Granted == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", c.Used, c.Granted)
}

// since is a duration to a tenth of a second.
func since(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

// printable keeps what a peer chose, such as its id, from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
