package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"muster/internal/api"
)

// progress shows how far a run is: a bar on a terminal, nothing elsewhere (the
// results' own lines are the progress there).
type progress struct {
	bar *progressbar.ProgressBar
}

func newProgress(w io.Writer, what string) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
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
	p.bar.Describe(clip(at.Running, 40))
	_ = p.bar.Set(at.Done)
}

// line prints a line above the bar.
func (p *progress) line(w io.Writer, format string, args ...any) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(w, format+"\n", args...)
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
