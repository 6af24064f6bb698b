// SPDX-License-Identifier: Apache-2.0

// Package examples_test runs the programs beside it, and what the documents tell
// a newcomer to do, as scripts from an empty folder.
package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/durabus/durabus/bus/bustest/broker"
)

// The scripts in testdata have a broker of their own, whose URL is in NATS_URL,
// the tool and the programs of clock on their PATH, and these commands:
//
//	module NAME             makes the working folder a module that requires this one
//	doc FILE BLOCK [AS]     writes the code block of a document that stands between the lines
//	                        <!-- BLOCK --> and <!-- /BLOCK -->, to the file AS or BLOCK
//	replace FILE BLOCK BEGIN IN
//	                        puts a block in the place of the declaration in the file IN whose first
//	                        line begins with BEGIN
//	start NAME PROGRAM ARG… starts a program
//	until NAME TEXT…        waits until the program has printed each text, one after the other
//	never NAME TEXT         fails if the program has printed the text
//	interrupt NAME          interrupts it and waits for its end
//	sigkill NAME            ends it with SIGKILL
//	broker stop|restart     stops the broker, or starts it again
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	build(t, bin)
	goEnv := goEnvironment(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			b, err := broker.Start(broker.Options{})
			if err != nil {
				return err
			}
			env.Defer(b.Close)
			crew := &crew{broker: b, programs: map[string]*program{}}
			env.Defer(crew.end)
			env.Values[crewKey{}] = crew
			env.Vars = append(env.Vars, goEnv...)
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
			env.Setenv("NATS_URL", b.URL())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"module": module, "doc": doc, "replace": replace, "broker": breakBroker,
			"start": start, "until": until, "never": never, "interrupt": interrupt, "sigkill": sigkill,
		},
	})
}

// root is the folder of the repository.
func root(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// build puts the tool and the programs of clock into bin.
func build(t *testing.T, bin string) {
	t.Helper()
	for name, dir := range map[string]string{
		"durabus": "cmd/durabus", "serve": "examples/clock/serve", "follow": "examples/clock/follow", "call": "examples/clock/call",
		"old-serve": "examples/clock/old/serve", "old-follow": "examples/clock/old/follow",
	} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, name), "./"+dir)
		cmd.Dir = root(t)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
}

// goEnvironment is what the go command of a script shares with ours, as a script
// has no home.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GOROOT", "GOTOOLCHAIN"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var vars []string
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		vars = append(vars, names[i]+"="+value)
	}
	return vars
}

// module makes the working folder a module in whose place the repository is
// required.
func module(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: module NAME")
	}
	repository, err := filepath.Abs("..")
	ts.Check(err)
	ts.Check(ts.Exec("go", "mod", "init", args[0]))
	ts.Check(ts.Exec("go", "mod", "edit", "-replace", "github.com/durabus/durabus="+repository))
}

// blockOf returns the code of a block of a document. The broker of a newcomer
// listens where the documents say, that of a script does not.
func blockOf(ts *testscript.TestScript, file, block string) string {
	text, err := os.ReadFile(filepath.Join("..", file))
	ts.Check(err)
	_, rest, _ := strings.Cut(string(text), "<!-- "+block+" -->\n```go\n")
	code, _, ok := strings.Cut(rest, "```\n<!-- /"+block+" -->")
	if !ok {
		ts.Fatalf("%s has no Go code between <!-- %s --> and <!-- /%[2]s -->", file, block)
	}
	return strings.ReplaceAll(code, "nats://127.0.0.1:4222", ts.Getenv("NATS_URL"))
}

func doc(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: doc FILE BLOCK [AS]")
	}
	to := ts.MkAbs(args[len(args)-1])
	ts.Check(os.MkdirAll(filepath.Dir(to), 0o755))
	ts.Check(os.WriteFile(to, []byte(blockOf(ts, args[0], args[1])), 0o644))
}

func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: replace FILE BLOCK BEGIN IN")
	}
	old := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(args[2]) + `.*\n(?:(?:\t.*)?\n)*(?:}\n)?`)
	code := ts.ReadFile(args[3])
	at := old.FindStringIndex(code)
	if at == nil {
		ts.Fatalf("nothing in %s begins with %q", args[3], args[2])
	}
	code = code[:at[0]] + blockOf(ts, args[0], args[1]) + "\n" + code[at[1]:]
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(code), 0o644))
}

func breakBroker(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(crewKey{}).(*crew).broker
	switch {
	case neg || len(args) != 1:
		ts.Fatalf("usage: broker stop|restart")
	case args[0] == "stop":
		b.Stop()
	case args[0] == "restart":
		ts.Check(b.Restart())
	default:
		ts.Fatalf("broker %s: stop or restart", args[0])
	}
}
