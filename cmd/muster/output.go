package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"muster/collector"
)

// listing is the flag of every verb that lists.
type listing struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"table, json or csv."`
}

// column is one column of a table and of a CSV file.
type column[T any] struct {
	name  string         // head of the table, in lower case
	key   string         // head of the CSV file: the JSON key
	cell  func(T) string // for people
	raw   func(T) string // for programs
	drop  bool           // from a table where it is empty
	skip  bool           // from every table
	below bool           // a sentence: in a table it has a line of its own
}

// text is a column of words or numbers, the same for people and programs.
func text[T any](name string, cell func(T) string) column[T] {
	return column[T]{name: name, key: strings.ReplaceAll(name, " ", "_"), cell: func(row T) string { return dash(cell(row)) }, raw: cell}
}

// moment is a column of times: local with its age for people, RFC 3339 in UTC,
// or nothing, for programs.
func moment[T any](name string, at func(T) *time.Time) column[T] {
	return column[T]{name: name, key: strings.ReplaceAll(name, " ", "_"), cell: func(row T) string { return when(at(row)) }, raw: func(row T) string {
		t := at(row)
		if t == nil || t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}}
}

// aged is a moment of which people see the age alone.
func aged[T any](name string, at func(T) *time.Time) column[T] {
	c := moment(name, at)
	c.cell = func(row T) string {
		t := at(row)
		if t == nil || t.IsZero() {
			return "never"
		}
		return age(time.Since(*t))
	}
	return c
}

// sentence is a column that has a line of its own below its row.
func sentence[T any](name string, cell func(T) string) column[T] {
	c := text(name, cell)
	c.below = true
	return c
}

// shown gives people another cell than programs.
func (c column[T]) shown(cell func(T) string) column[T] {
	c.cell = cell
	return c
}

// keyed gives a column another JSON key than its head.
func (c column[T]) keyed(key string) column[T] {
	c.key = key
	return c
}

// optional leaves a column out of a table in which nobody has a value.
func (c column[T]) optional() column[T] {
	c.drop = true
	return c
}

// hidden leaves a column to programs.
func (c column[T]) hidden() column[T] {
	c.skip = true
	return c
}

// clipped shortens what people see.
func (c column[T]) clipped(n int) column[T] {
	cell := c.cell
	c.cell = func(row T) string { return clip(cell(row), n) }
	return c
}

// list prints rows in the way that was asked for. none is what a table says when
// there is nothing.
func list[T any](s *session, o listing, rows []T, none string, columns ...column[T]) error {
	switch o.Output {
	case "json":
		if rows == nil {
			rows = []T{}
		}
		return printJSON(s.stdout, rows)
	case "csv":
		w := csv.NewWriter(s.stdout)
		head := make([]string, len(columns))
		for i, c := range columns {
			head[i] = c.key
		}
		if err := w.Write(head); err != nil {
			return err
		}
		for _, r := range rows {
			cells := make([]string, len(columns))
			for i, c := range columns {
				cells[i] = harmless(c.raw(r))
			}
			if err := w.Write(cells); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	if len(rows) == 0 {
		fmt.Fprintln(s.stderr, none)
		return nil
	}
	columns = slices.DeleteFunc(columns, func(c column[T]) bool {
		return c.skip || c.drop && !slices.ContainsFunc(rows, func(r T) bool { return c.raw(r) != "" })
	})
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 4, 2, ' ', 0)
	line := func(cell func(column[T]) string) {
		tab := ""
		for _, c := range columns {
			if !c.below {
				fmt.Fprint(w, tab, cell(c))
				tab = "\t"
			}
		}
		fmt.Fprintln(w)
	}
	line(func(c column[T]) string { return strings.ToUpper(c.name) })
	for _, r := range rows {
		line(func(c column[T]) string { return collector.Escape(c.cell(r)) })
	}
	if err := w.Flush(); err != nil {
		return err
	}
	// Whole sentences would make columns of any width; they stand below their row.
	lines := strings.SplitAfter(table.String(), "\n")
	for i, l := range lines {
		if _, err := io.WriteString(s.stdout, l); err != nil {
			return err
		}
		for _, c := range columns {
			if i > 0 && i <= len(rows) && c.below && c.raw(rows[i-1]) != "" {
				fmt.Fprintf(s.stdout, "    %s\n", collector.Escape(c.cell(rows[i-1])))
			}
		}
	}
	return nil
}

// harmless keeps a spreadsheet from taking device text for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// when writes a time for people: local, to the minute, with its age.
func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04") + " (" + age(time.Since(*t)) + ")"
}

// age is a duration as people say it.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "in " + span(-d)
	case d < 5*time.Second:
		return "just now"
	}
	return span(d) + " ago"
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
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}

// plural is "1 device", "2 devices".
func plural(n int, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "s"):
		one += "e"
	}
	return fmt.Sprintf("%d %ss", n, one)
}
