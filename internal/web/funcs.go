package web

import (
	"fmt"
	"html/template"
	"sort"
	"strings"
	"time"

	"muster/backup"
)

// funcs are what the templates need beyond the standard ones.
func (w *site) funcs() template.FuncMap {
	return template.FuncMap{
		"age":     w.age,
		"ago":     func(t *time.Time) template.HTML { return w.ago(t) },
		"at":      func(t time.Time) template.HTML { return w.ago(&t) },
		"mark":    mark,
		"counts":  counts,
		"speed":   speed,
		"minus":   func(a, b int) int { return a - b },
		"add":     func(a, b int) int { return a + b },
		"seconds": func(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) },
		"words":   func(v any) string { return strings.ReplaceAll(fmt.Sprint(v), "-", " ") },
		"join":    strings.Join,
		"diffOf":  diffOf,
		"percent": func(a, b int) int {
			if b == 0 {
				return 0
			}
			return a * 100 / b
		},
	}
}

// ago is a time with its age: the age is what one reads, the time is on it.
func (w *site) ago(t *time.Time) template.HTML {
	if t == nil || t.IsZero() {
		return `<span class="d">never</span>`
	}
	u := t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // made of times only
		u.Format(time.RFC3339), u.Format("2006-01-02 15:04:05 UTC"), w.age(u)))
}

func (w *site) age(t time.Time) string {
	d := w.o.Now().Sub(t)
	switch {
	case d < 0:
		return "in " + span(-d)
	case d < 5*time.Second:
		return "now"
	}
	return span(d)
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// marks are the glyph and the colour of a state; a healthy one has no colour.
var marks = map[string][2]string{
	"up": {"✓", ""}, "degraded": {"◐", "warn"}, "down": {"✕", "bad"}, "behind": {"⋯", "off"}, "unknown": {"?", "off"},
	"good": {"✓", ""}, "quarantined": {"⚠", "warn"}, "failed": {"✕", "bad"}, "stale": {"◔", "warn"}, "never": {"–", "off"}, "disabled": {"○", "off"},
	"changed": {"Δ", "info"}, "unsaved": {"◐", "warn"}, "pending": {"…", "warn"}, "off-baseline": {"≠", "warn"},
	"stored": {"Δ", "info"}, "unchanged": {"✓", ""}, "skipped": {"–", "off"},
	"new": {"+", "info"}, "known": {"✓", ""}, "merged": {"✓", ""}, "silent": {"–", "off"}, "excluded": {"–", "off"},
	"running": {"▸", "info"}, "waiting": {"·", "off"}, "done": {"✓", ""}, "stopped": {"○", "warn"}, "interrupted": {"⚠", "warn"},
	"firing": {"✕", "bad"}, "resolved": {"✓", ""},
}

// mark writes a state as glyph and word, never as colour alone.
func mark(state any) template.HTML {
	word := fmt.Sprint(state)
	m, ok := marks[word]
	if !ok {
		m = [2]string{"·", "off"}
	}
	return template.HTML(fmt.Sprintf(`<span class="st %s"><i aria-hidden="true">%s</i>%s</span>`, m[1], m[0], template.HTMLEscapeString(word))) //nolint:gosec // escaped
}

// counts writes a map of counts in a steady order, zeros left out.
func counts(m map[string]int) string {
	var keys []string
	for k, n := range m {
		if n > 0 {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%d %s", m[k], k)
	}
	return strings.Join(keys, ", ")
}

// speed writes bit/s as people do.
func speed(bps uint64) string {
	switch {
	case bps == 0:
		return ""
	case bps >= 1e9 && bps%1e9 == 0:
		return fmt.Sprintf("%dG", bps/1e9)
	case bps >= 1e6:
		return fmt.Sprintf("%dM", bps/1e6)
	}
	return fmt.Sprintf("%dk", bps/1e3)
}

// diffOf is the page that shows a drift.
func diffOf(d backup.Drift, versions int) string {
	base := "/diff/" + template.URLQueryEscaper(d.Device)
	switch d.Kind {
	case backup.DriftUnsaved:
		return base + "/startup/running"
	case backup.DriftOffBaseline:
		return base + "/baseline/running"
	}
	return fmt.Sprintf("%s/v%d/v%d", base, max(versions-1, 1), max(versions, 1))
}
