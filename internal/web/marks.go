package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"muster/internal/alert"
)

// marks are the glyph and the colour of a state. A healthy one has no colour:
// colour says that somebody may have to act.
var marks = map[string][2]string{
	"up": {"✓", ""}, "degraded": {"◐", "warn"}, "down": {"✕", "bad"}, "behind": {"–", "off"}, "unknown": {"?", "off"},
	"good": {"✓", ""}, "quarantined": {"▲", "warn"}, "failed": {"✕", "bad"}, "stale": {"~", "warn"}, "never": {"–", "warn"}, "disabled": {"z", "off"},
	"changed": {"Δ", "info"}, "unsaved": {"◐", "warn"}, "pending": {"◐", "warn"}, "off-baseline": {"≠", "warn"},
	"stored": {"Δ", ""}, "unchanged": {"✓", ""}, "skipped": {"–", "off"},
	"new": {"+", ""}, "known": {"✓", ""}, "merged": {"✓", ""}, "silent": {"–", "off"}, "excluded": {"–", "off"},
	"running": {"▸", "info"}, "waiting": {"·", "off"}, "done": {"✓", ""}, "stopped": {"–", "warn"}, "interrupted": {"▲", "warn"},
	"resolved": {"✓", ""},
}

// alertMarks are those of alerts, by kind: what is broken, what waits for
// somebody, what is news.
var alertMarks = map[alert.Kind][2]string{
	alert.Unreachable: {"✕", "bad"}, alert.LoginRejected: {"✕", "bad"}, alert.CredentialStopped: {"✕", "bad"},
	alert.HostKeyChanged: {"✕", "bad"}, alert.BackupFailed: {"✕", "bad"}, alert.CollectorIsolated: {"✕", "bad"},
	alert.ReceiverDown: {"✕", "bad"}, alert.StoreProblem: {"✕", "bad"},
	alert.Quarantined: {"▲", "warn"}, alert.BackupOverdue: {"~", "warn"}, alert.Unsaved: {"◐", "warn"},
	alert.Pending: {"◐", "warn"}, alert.OffBaseline: {"≠", "warn"}, alert.DeviceReplaced: {"▲", "warn"}, alert.IdentityClash: {"▲", "warn"},
	alert.Changed: {"Δ", "info"}, alert.NewDevice: {"+", "info"},
}

// mark writes a state as glyph and word, never as colour alone.
func mark(state any) template.HTML {
	word := fmt.Sprint(state)
	m, ok := marks[word]
	if !ok {
		m = [2]string{"·", "off"}
	}
	return glyph(m, word)
}

// alertMark writes the kind of an alert. One that is over, or that somebody has
// taken, has no colour any more.
func alertMark(a alert.Alert) template.HTML {
	m, ok := alertMarks[a.Kind]
	if !ok {
		m = [2]string{"✕", "bad"}
	}
	if a.State == alert.Resolved {
		m = marks["resolved"]
	}
	if a.AckedBy != "" {
		m[1] = ""
	}
	return glyph(m, words(a.Kind))
}

// severity is the colour of an alert's kind.
func severity(a alert.Alert) string {
	if m, ok := alertMarks[a.Kind]; ok {
		return m[1]
	}
	return "bad"
}

// urgent reports whether an alert waits for somebody.
func urgent(a alert.Alert) bool { return a.AckedBy == "" && severity(a) != "info" }

func glyph(m [2]string, word string) template.HTML {
	return template.HTML(fmt.Sprintf(`<span class="st %s"><i aria-hidden="true">%s</i>%s</span>`, m[1], m[0], template.HTMLEscapeString(word))) //nolint:gosec // escaped
}

// counts writes how many of what, in a steady order, zeros left out. What went
// wrong comes first and has its colour.
func counts(m map[string]int) template.HTML {
	var keys []string
	for k, n := range m {
		if n > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		if x, y := rank(a), rank(b); x != y {
			return x - y
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys {
		text := fmt.Sprintf("%d %s", m[k], k)
		if rank(k) < calm {
			parts = append(parts, string(glyph(marks[k], text)))
			continue
		}
		parts = append(parts, template.HTMLEscapeString(text))
	}
	return template.HTML(strings.Join(parts, ", ")) //nolint:gosec // escaped
}

// calm is the rank of a word that asks nothing of anybody.
const calm = 2

// rank orders words by how much they ask for.
func rank(word string) int {
	switch marks[word][1] {
	case "bad":
		return 0
	case "warn":
		return 1
	}
	return calm
}

// words writes a kind or a name of a fact as people say it.
func words(v any) string {
	s := fmt.Sprint(v)
	if name, ok := names[s]; ok {
		return name
	}
	return strings.NewReplacer("-", " ", "_", " ").Replace(s)
}

// names are those that have a spelling of their own (SNMPv2-MIB).
var names = map[string]string{
	"sys_object_id": "sysObjectID", "sys_descr": "sysDescr", "sys_name": "sysName", "sys_location": "sysLocation", "sys_contact": "sysContact",
	"ha_serials": "HA serials",
}
