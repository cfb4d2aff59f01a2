package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"muster/collector"
	"muster/internal/api"
)

// progress shows how far a run is: a bar on a terminal, nothing elsewhere (the
// results' own lines are the progress there).
type progress struct {
	bar  *progressbar.ProgressBar
	said string
}

func newProgress(w io.Writer, what string) *progress {
	if !onTerminal(w) {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(80*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerHead: "━", SaucerPadding: " ", BarStart: "", BarEnd: ""}),
	)}
}

func (p *progress) show(at api.Progress) {
	if p.bar == nil {
		return
	}
	if at.Total > 0 && p.bar.GetMax() != at.Total {
		p.bar.ChangeMax(at.Total)
	}
	if at.Running != "" {
		p.bar.Describe(fmt.Sprintf("%-32s", clip(collector.Escape(at.Running), 32)))
	}
	_ = p.bar.Set(at.Done)
}

// note keeps what the run says of itself: shown beside the bar while it works,
// and the last of it as a line at the end.
func (p *progress) note(text string) {
	p.said = text
	if p.bar != nil {
		p.bar.Describe(clip(text, 60))
	}
}

// line prints a line above the bar.
func (p *progress) line(w io.Writer, format string, args ...any) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// end takes the bar away and prints the last note to w, unless err says it.
func (p *progress) end(w io.Writer, err error) {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
	if p.said != "" && err == nil {
		fmt.Fprintln(w, p.said)
	}
}
