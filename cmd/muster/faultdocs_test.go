//go:build faults || e2e

package main_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var updateFaults = flag.Bool("update", false, "write the messages into docs/faults.md")

// mends are the words with which a message tells a person what to do.
var mends = regexp.MustCompile(`(?m)(?:\. |; )(?:If [^,]+, |Where [^,]+, )?(?:[Aa]dd|[Aa]llow|[Aa]sk|[Aa]ccept|[Aa]nswer|[Cc]heck|[Cc]ompare|[Cc]lear|[Ff]ree|[Gg]ive|[Ll]et|[Ll]og in|[Ll]ook|[Pp]ut|[Rr]aise|[Rr]un|[Ss]et|[Ss]ee|[Ss]tore|[Ss]witch|[Tt]ry)\b`)

func saysWhatToDo(t *testing.T, fault, message string) {
	t.Helper()
	if !mends.MatchString(message) {
		t.Errorf("%s: the message names nothing to do: %s", fault, message)
	}
}

// steady replaces what differs from run to run by a word for it.
func steady(message string) string {
	for _, r := range []struct{ what, by string }{
		{`SHA256:[A-Za-z0-9+/]+`, "SHA256:…"},
		{`\d{4}-\d\d-\d\d \d\d:\d\d UTC`, "TIME"},
		{`\d+ s of silence`, "SECONDS of silence"},
		{`(?:127\.61|10\.99|10\.255)\.0\.\d+:\d+`, "ADDRESS"},
	} {
		message = regexp.MustCompile(r.what).ReplaceAllString(message, r.by)
	}
	return message
}

// said is a piece of what a device printed.
var said = regexp.MustCompile(`said ".*?"\. `)

// faultLine is a row of a table in docs/faults.md.
func faultLine(cells ...string) string {
	for i, c := range cells {
		if c == "" {
			c = "–"
		}
		cells[i] = strings.NewReplacer("|", `\|`, "\n", " ").Replace(c)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// holdFaults holds a table of docs/faults.md, between its mark and the end mark,
// against the rows of this run; with -update it writes them.
func holdFaults(t *testing.T, mark, how, rows string) {
	t.Helper()
	const file, end = "../../docs/faults.md", "<!-- end -->\n"
	begin := "<!-- " + mark + " -->\n"
	rows = "| fault | the backup | step | kind | state | alert | next good run | message |\n|---|---|---|---|---|---|---|---|\n" + rows
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part between %q and %q", file, begin, end)
	}
	switch {
	case old == rows:
	case *updateFaults:
		if err := os.WriteFile(file, []byte(before+begin+rows+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/faults.md tells other messages than these; %s -update writes them\n%s", how, rows)
	}
}
