package alert

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"muster/collector"
	"muster/inventory/platform"
)

// Diff is what differs on one device, as people see it: redacted, without control
// characters, and no longer than a message bears.
type Diff struct {
	Device string `json:"device"`         // the first of the alert; the others have the same
	Text   string `json:"text"`           // unified, lines
	More   int    `json:"more,omitempty"` // lines that were left out
	Others int    `json:"others"`         // devices with the same diff
	Kind   Kind   `json:"kind"`           // changed, unsaved, off-baseline
}

const (
	diffLines = 60  // of a diff in a message
	diffWidth = 200 // runes of a line
	// diffWait is what making a diff may take of an attempt: a message without one
	// is better than none.
	diffWait = 10 * time.Second
)

// title says of which device a diff is.
func (d *Diff) title() string {
	others := ""
	if d.Others > 0 {
		others = fmt.Sprintf(" (and %d more with the same change)", d.Others)
	}
	return fmt.Sprintf("What differs on %s%s:", collector.Escape(d.Device), others)
}

// rest says how much was left out and where it is; empty: nothing was.
func (d *Diff) rest(left int) string {
	if left += d.More; left == 0 {
		return ""
	}
	flag := map[Kind]string{Unsaved: " --unsaved", OffBaseline: " --baseline"}[d.Kind]
	return fmt.Sprintf("… and %d more lines: muster config diff %s%s", left, collector.Escape(d.Device), flag)
}

// String is the diff as plain text with its title.
func (d *Diff) String() string {
	text := d.title() + "\n" + d.Text
	if rest := d.rest(0); rest != "" {
		text += rest + "\n"
	}
	return text
}

// WithDiff makes a receiver whose messages about drift carry the diff. Where
// Options.Diff is nil they carry none.
func WithDiff(r Receiver) Receiver { return withDiff{r} }

type withDiff struct{ Receiver }

// differs reports whether a message may carry a diff: one about drift that holds.
func differs(m Message) bool {
	return len(m.Alerts) == 1 && (m.Event == MessageFiring || m.Event == MessageUpdated) &&
		slices.Contains([]Kind{Changed, Unsaved, OffBaseline}, m.Alerts[0].Kind)
}

// diffOf makes the diff of an alert, nil where there is none. It is made for each
// attempt and never stored: the outbox holds no configuration that a purge would
// have to find, and a rule that masks more holds for what waits too.
func (a *Alerts) diffOf(ctx context.Context, alertID int64) (d *Diff) {
	if a.o.Diff == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, diffWait)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			a.o.Log.ErrorContext(ctx, "diff panicked", "err", p, "seen", string(debug.Stack()))
			d = nil
		}
	}()
	al, err := a.store.AlertOf(ctx, alertID)
	if err != nil || al.State == Resolved { // what is over differs no more
		return nil
	}
	i := slices.IndexFunc(al.Members, func(m Member) bool { return m.DeviceID != 0 })
	if i < 0 {
		return nil
	}
	m := al.Members[i]
	var w diffText
	if err := a.o.Diff(ctx, &w, al.Kind, m.DeviceID); err != nil {
		a.o.Log.WarnContext(ctx, "message went without its diff", "device", m.Device, "kind", string(al.Kind), "err", err)
		return nil
	}
	w.end()
	if w.text.Len() == 0 {
		return nil
	}
	return &Diff{Device: m.Device, Text: w.text.String(), More: w.more, Others: len(al.Devices) - 1, Kind: al.Kind}
}

// diffText keeps the first lines of what is written to it, fit to be shown.
type diffText struct {
	text  strings.Builder
	lines int
	more  int
	part  []byte // of a line whose end has not come yet
}

func (w *diffText) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		w.part = append(w.part, line...)
		if !whole {
			return n, nil
		}
		w.keep()
		p = rest
	}
}

// end takes a last line that has no end.
func (w *diffText) end() {
	if len(w.part) > 0 {
		w.keep()
	}
}

func (w *diffText) keep() {
	line := string(platform.Outward(w.part))
	w.part = w.part[:0]
	if w.lines == diffLines {
		w.more++
		return
	}
	w.lines++
	r := []rune(collector.Escape(strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\t", "    ")))
	if len(r) > diffWidth {
		r = append(r[:diffWidth-1], '…')
	}
	w.text.WriteString(string(r) + "\n")
}
