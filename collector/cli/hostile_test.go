package cli

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/collector"
)

// wire is what a device sends for one command: pieces, and between two pieces a
// pager that waits for a key.
type wire struct {
	pages []string
	cut   int  // bytes after which it stops; below 0: it does not
	hangs bool // it stops by silence, not by closing
}

// hostileWire draws a configuration and one of the ways in which a device may
// print it.
func hostileWire(t *rapid.T) (config string, w wire) {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", " ", "!", "end", "interface eth0", "  description x  ", "r2# ", "r1", "#", ">", "r1 # x", "banner motd ^C", "caf\u00e9 \t", "-- More - ", "Password:", "x % Unknown command", "r1#show run", " --More-- x", "\\x1b[0m"}),
		rapid.StringMatching(`[a-z0-9 !#>$%^():/.\-]{0,60}`),
	)
	ends := rapid.SampledFrom([]string{"\r\n", "\n", "\r\r\n", "\r\x00\n", " \b\r\n", "\x1b[0m\r\n", "\x1b[K\r\n"})
	starts := rapid.SampledFrom([]string{"", "", "", "\x00", "\x07", "\x1b[m", "\x1b]0;t\x07", "\r", "x\b", "junk\r\x1b[K", "ab\r  \r"})
	wipe := rapid.SampledFrom([]string{"\r\x1b[K", "\r          \r", strings.Repeat("\b", 10) + strings.Repeat(" ", 10) + strings.Repeat("\b", 10), strings.Repeat("\b \b", 10)})

	var page strings.Builder
	lines := rapid.SliceOfN(line, 0, 40).Draw(t, "lines")
	for i, l := range lines {
		if p := learn([]byte("r1# ")); p.is([]byte(l)) || anyPager.MatchString(l) {
			l = "!" // what stands for itself is acted on; other tests are about that
		}
		if i > 0 && page.Len() > 0 && len(w.pages) > 0 && !strings.Contains(page.String(), "\n") && strings.TrimLeft(l, " ") == "" {
			l = "" // only blanks behind a pager may as well be its wiping
		}
		config += l + "\n"
		start := starts.Draw(t, "start")
		if strings.ContainsAny(start, "\b\r") && start != "\r" && (l == "" || l[0] == ' ') {
			start = "" // nothing comes to take the place of what was printed
		}
		page.WriteString(start + l)
		end := ends.Draw(t, "end")
		if strings.HasPrefix(end, " ") || end == "\x1b[K\r\n" && start != "" {
			end = "\r\n"
		}
		page.WriteString(end)
		if rapid.IntRange(0, 9).Draw(t, "pager") == 0 && i+1 < len(lines) {
			w.pages = append(w.pages, page.String())
			page.Reset()
			page.WriteString(wipe.Draw(t, "wipe"))
		}
	}
	w.pages = append(w.pages, page.String())
	w.cut = -1
	if rapid.IntRange(0, 2).Draw(t, "sabotage") == 0 {
		w.cut = rapid.IntRange(0, len(strings.Join(w.pages, ""))).Draw(t, "cut")
		w.hangs = rapid.Bool().Draw(t, "hangs")
	}
	return config, w
}

// hostileShell plays what next says for every command.
func hostileShell(next func() wire) func(*tty) {
	return func(tt *tty) {
		for {
			tt.puts("r1# ")
			l, ok := tt.line()
			if !ok {
				return
			}
			if l == "" {
				continue
			}
			w := next()
			left := w.cut
			for i, page := range w.pages {
				if i > 0 {
					tt.puts(" --More-- ")
					if _, ok := tt.key(); !ok {
						return
					}
				}
				if left >= 0 && left < len(page) {
					tt.puts(page[:left])
					if w.hangs {
						tt.freeze()
					}
					return
				}
				tt.puts(page)
				left -= len(page)
			}
		}
	}
}

// Whatever a console does with a text, the text comes back exactly, or a failure
// with a name does.
func TestHostileConsoleGivesTheExactTextOrANamedFailure(t *testing.T) {
	t.Parallel()
	var (
		mu      sync.Mutex
		current wire
	)
	d := (&device{shell: hostileShell(func() wire { mu.Lock(); defer mu.Unlock(); return current })}).start(t)
	target := d.target()
	target.Limits.Silence, target.Limits.Session = 150*time.Millisecond, time.Minute
	var s *Session
	defer func() {
		if s != nil {
			_ = s.Close()
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		config, w := hostileWire(rt)
		mu.Lock()
		current = w
		mu.Unlock()
		if s == nil {
			var err error
			if s, err = Open(context.Background(), target, plainDialogue(), Options{}); err != nil {
				rt.Fatal(err)
			}
		}
		out, err := s.Run(context.Background(), "show run")
		if err == nil {
			if string(out.Text) != config {
				rt.Fatalf("%q came back for %q, printed as %q", out.Text, config, w.pages)
			}
			return
		}
		var e *collector.Error
		if !errors.As(err, &e) || e.Kind == "" || e.Do == "" || w.cut < 0 {
			rt.Fatalf("%v (cut %d) for %q", err, w.cut, w.pages)
		}
		if len(out.Text) > 0 {
			rt.Fatalf("%q came with %v", out.Text, err)
		}
		_ = s.Close()
		s = nil
	})
}
