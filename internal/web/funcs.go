package web

import (
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"time"
)

// funcs are what the templates need beyond the standard ones.
func (w *site) funcs() template.FuncMap {
	return template.FuncMap{
		"when": w.when, "ago": w.ago, "took": took,
		"mark": mark, "alertmark": alertMark, "severity": severity, "counts": counts, "words": words,
		"speed": speed, "secrets": secrets, "part": url.PathEscape,
		"minus": func(a, b int) int { return a - b },
		"add":   func(a, b int) int { return a + b },
		"percent": func(a, b int) int {
			if b == 0 {
				return 0
			}
			return min(a*100/b, 100)
		},
		"few":  func(names []string) []string { return names[:min(len(names), few)] },
		"rest": func(names []string) []string { return names[min(len(names), few):] },
	}
}

// few is how many names a row shows before it folds the others away.
const few = 5

// when is a time in a column: its age, and the clock or the date beside it. The
// zero time (or nil) is nothing: the word for that depends on the column.
func (w *site) when(v any) template.HTML {
	t, ok := moment(v)
	if !ok {
		return ""
	}
	age := w.o.Now().Sub(t)
	clock := t.Format("15:04")
	switch {
	case age > 300*24*time.Hour:
		clock = t.Format("2006-01-02")
	case age > 20*time.Hour || age < -20*time.Hour:
		clock = t.Format("Mon 2 Jan")
	}
	return stamp(t, "span", span(age), " <i>"+clock+"</i>")
}

// ago is a time within a sentence: "12 min ago", "just now", "in 5 h", "never".
func (w *site) ago(v any) template.HTML {
	t, ok := moment(v)
	if !ok {
		return "never"
	}
	return stamp(t, "ago", agoWords(w.o.Now().Sub(t)), "")
}

// stamp writes a time that app.js keeps current: kind says in which words.
func stamp(t time.Time, kind, words, more string) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s" data-age="%s">%s</time>%s`, //nolint:gosec // made of times only
		t.Format(time.RFC3339), t.Format("Mon 2006-01-02 15:04:05 UTC"), kind, words, more))
}

func moment(v any) (time.Time, bool) {
	var t time.Time
	switch v := v.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v != nil {
			t = *v
		}
	}
	return t.UTC(), !t.IsZero()
}

func agoWords(d time.Duration) string {
	switch {
	case d < 0:
		return span(d)
	case d < nearly:
		return "just now"
	}
	return span(d) + " ago"
}

// nearly is what counts as now.
const nearly = 5 * time.Second

// span is a duration as people say it; one to come has "in" before it. app.js
// says the same.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "in " + span(-d)
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// took is how long something lasted, from milliseconds or between two times.
func took(v ...any) string {
	var d time.Duration
	switch len(v) {
	case 1:
		ms, _ := v[0].(int64)
		d = time.Duration(ms) * time.Millisecond
	case 2:
		from, ok := moment(v[0])
		to, ended := moment(v[1])
		if !ok || !ended {
			return ""
		}
		d = to.Sub(from)
	}
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return span(d)
}

// speed writes bit/s as people do.
func speed(bps uint64) string {
	switch {
	case bps == 0:
		return ""
	case bps >= 1e9 && bps%1e8 == 0:
		return fmt.Sprintf("%gG", float64(bps)/1e9)
	case bps >= 1e6:
		return fmt.Sprintf("%dM", bps/1e6)
	}
	return fmt.Sprintf("%dk", bps/1e3)
}

// token is how texts and diffs mark a secret outwardly.
var token = regexp.MustCompile(`‹secret( changed| same)?›`)

// secrets writes a line of a configuration, its secrets' tokens as chips.
func secrets(line string) template.HTML {
	var out []byte
	at := 0
	for _, m := range token.FindAllStringIndex(line, -1) {
		class := "chip"
		if line[m[0]:m[1]] == "‹secret changed›" {
			class = "chip info"
		}
		out = append(out, template.HTMLEscapeString(line[at:m[0]])...)
		out = append(out, `<span class="`+class+`">`+line[m[0]:m[1]]+`</span>`...)
		at = m[1]
	}
	return template.HTML(append(out, template.HTMLEscapeString(line[at:])...)) //nolint:gosec // escaped
}
