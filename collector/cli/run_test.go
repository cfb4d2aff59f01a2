package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muster/collector"
)

const smallConfig = "Building configuration...\n\nhostname r1\n!\nbanner motd ^C\nsw9#\nr1 #\nr1\nUnauthorised access is forbidden #\n% Unknown command\n^C\ninterface eth0 \n description caf\u00e9   \n!\n\nend\n"

// raw is a shell that has its prompt learned and then answers one command with
// exactly these bytes (the echo is not made for it).
func raw(prompt string, pieces ...string) func(*tty) {
	return func(tt *tty) {
		tt.puts(prompt)
		for {
			l, ok := tt.silent()
			if !ok {
				return
			}
			if l == "" {
				tt.puts("\r\n" + prompt)
				continue
			}
			for i, p := range pieces {
				if i > 0 {
					time.Sleep(2 * time.Millisecond)
				}
				tt.puts(p)
			}
			return
		}
	}
}

// stay leaves the session open behind what a shell did.
func stay(shell func(*tty)) func(*tty) {
	return func(tt *tty) { shell(tt); tt.freeze() }
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func runOnce(t *testing.T, d *device, dialogue Dialogue, command string) (Output, error) {
	t.Helper()
	d.start(t)
	s := mustOpen(t, d.target(), dialogue, Options{})
	return s.Run(context.Background(), command)
}

func TestAnswerIsExact(t *testing.T) {
	const p = "r1# "
	command := "show running-config"
	noEcho := plainDialogue()
	noEcho.NoEcho = true
	starving := "2026/11/26 02:25:00 [T83RR-8SM5G] STARVATION: task vtysh_rl_read (7f0a) ran for 6012ms (cpu time 0ms)\r\n"
	tests := map[string]struct {
		wire     string
		want     string
		dialogue *Dialogue
	}{
		"plain":                          {p[:0] + command + "\r\n" + crlf(smallConfig) + p, smallConfig, nil},
		"empty answer":                   {command + "\r\n" + p, "", nil},
		"line feeds only":                {command + "\n" + smallConfig + p, smallConfig, nil},
		"CR CR LF":                       {command + "\r\r\n" + strings.ReplaceAll(smallConfig, "\n", "\r\r\n") + p, smallConfig, nil},
		"blank behind the echo":          {command + " \r\n" + crlf(smallConfig) + p, smallConfig, nil},
		"echo redrawn":                   {"\r" + p + command[:5] + "\r" + p + command + "\r\n" + crlf(smallConfig) + p, smallConfig, nil},
		"echo with backspaces":           {"shoo\bw running-config\r\n" + crlf(smallConfig) + p, smallConfig, nil},
		"echo wrapped on two lines":      {command[:12] + "\r\n" + command[12:] + "\r\n" + crlf(smallConfig) + p, smallConfig, nil},
		"echo scrolled":                  {"\r" + "r1# $nning-config      \r\n" + crlf(smallConfig) + p, smallConfig, nil},
		"colours and title":              {command + "\r\n\x1b]0;r1\x07\x1b[1mhostname\x1b[0m r1\r\n\x1b[32m" + p + "\x1b[0m", "hostname r1\n", nil},
		"NULs":                           {command + "\r\x00\nhostname r1\r\x00\n" + p + "\x00", "hostname r1\n", nil},
		"prompt in the middle, no pause": {command + "\r\nbanner motd #\r\nr1# \r\nr1#\r\n#\r\nend\r\n" + p, "banner motd #\nr1# \nr1#\n#\nend\n", nil},
		"no echo":                        {"\r\nhostname r1\r\nend\r\n" + p, "hostname r1\nend\n", &noEcho},
		"noise behind the prompt":        {command + "\r\nhostname r1\r\nend\r\n" + p + starving, "hostname r1\nend\n", nil},
		"noise before the echo":          {starving + command + "\r\nhostname r1\r\nend\r\n" + p, "hostname r1\nend\n", nil},
		"noise inside":                   {command + "\r\nhostname r1\r\n%SYS-5-CONFIG_I: Configured from console\r\nend\r\n" + p, "hostname r1\nend\n", nil},
		"a late prompt before the echo":  {"\r\n" + p + command + "\r\nhostname r1\r\nend\r\n" + p, "hostname r1\nend\n", nil},
		"another mode at the end":        {command + "\r\nhostname r1\r\n" + "r1(config)# ", "hostname r1\n", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dialogue := plainDialogue()
			if tt.dialogue != nil {
				dialogue = *tt.dialogue
			}
			out, err := runOnce(t, &device{shell: stay(raw(p, tt.wire))}, dialogue, command)
			if err != nil || string(out.Text) != tt.want {
				t.Errorf("Run = %q, %v; want %q", out.Text, err, tt.want)
			}
			if out.ExitStatus != -1 {
				t.Errorf("exit status %d of a shell", out.ExitStatus)
			}
		})
	}
}

func TestEchoWrappedAtTheWidth(t *testing.T) {
	t.Parallel()
	const p, command = "r1# ", "show running-config"
	dialogue := plainDialogue()
	dialogue.Width = 20
	for name, echoed := range map[string]string{
		"blank and CR":  command[:16] + " \r" + command[16:],
		"the next line": command[:16] + "\r\n" + command[16:],
	} {
		out, err := runOnce(t, &device{shell: stay(raw(p, echoed+"\r\n"+crlf(smallConfig)+p))}, dialogue, command)
		if err != nil || string(out.Text) != smallConfig {
			t.Errorf("%s: Run = %q, %v; want %q", name, out.Text, err, smallConfig)
		}
	}
}

// Whatever way the bytes are cut on their way, the answer is the same.
func TestAnswerSplitAtEveryPosition(t *testing.T) {
	t.Parallel()
	const p = "r1# "
	answer := "show run\r\nhostname r1 \r\n\x1b[7m--More--\x1b[27m\r\x1b[Kbanner\b\bers r1#\r\nend\r\n"
	s := func() *Session {
		var cut int
		d := (&device{shell: func(tt *tty) {
			tt.puts(p)
			for {
				l, ok := tt.silent()
				if !ok {
					return
				}
				if l == "" {
					tt.puts("\r\n" + p)
					continue
				}
				wire := strings.ReplaceAll(answer, "\x1b[7m--More--\x1b[27m\r\x1b[K", "") + p
				tt.puts(wire[:cut%len(wire)])
				time.Sleep(time.Millisecond)
				tt.puts(wire[cut%len(wire):])
				cut++
			}
		}}).start(t)
		return mustOpen(t, d.target(), plainDialogue(), Options{})
	}()
	for i := range len(answer) - 10 {
		out, err := s.Run(context.Background(), "show run")
		if want := "hostname r1 \nbannerers r1#\nend\n"; err != nil || string(out.Text) != strings.Replace(want, "bannerers", "banners", 1) && string(out.Text) != want {
			t.Fatalf("cut at %d: %q, %v", i, out.Text, err)
		}
	}
}

// The pager is answered and leaves nothing, cut at every byte.
func TestPagerSplitAtEveryPosition(t *testing.T) {
	t.Parallel()
	const p = "r1# "
	pages := []string{"hostname r1 \n!\n", "x\n\n", "interface eth0\n", "end\n"}
	pager, wipe := "\x1b[7m --More-- \x1b[27m", strings.Repeat("\b", 9)+strings.Repeat(" ", 8)+strings.Repeat("\b", 9)
	var cut int
	d := (&device{shell: func(tt *tty) {
		split := func(s string) {
			i := min(cut, len(s))
			tt.puts(s[:i])
			if i > 0 && i < len(s) {
				time.Sleep(time.Millisecond)
			}
			tt.puts(s[i:])
		}
		tt.puts(p)
		for {
			l, ok := tt.line()
			if !ok {
				return
			}
			if l != "" {
				for i, page := range pages {
					if i > 0 {
						split(pager)
						if k, ok := tt.key(); !ok || k != ' ' {
							return
						}
						split(wipe)
					}
					tt.puts(crlf(page))
				}
				cut++
			}
			tt.puts(p)
		}
	}}).start(t)
	s := mustOpen(t, d.target(), plainDialogue(), Options{})
	for i := range len(wipe) + 1 {
		out, err := s.Run(context.Background(), "show run")
		if err != nil || string(out.Text) != strings.Join(pages, "") {
			t.Fatalf("cut at %d: %q, %v", i, out.Text, err)
		}
		if out.Pages != 3 {
			t.Errorf("%d pages turned, want 3", out.Pages)
		}
	}
}

// Half an answer is never a success.
func TestHalfAnAnswerIsAnError(t *testing.T) {
	const p = "r1# "
	half := crlf("show run\nhostname r1\ninterface eth")
	tests := map[string]struct {
		shell func(*tty)
		step  collector.Step
		kind  collector.Kind
		seen  string
	}{
		"closed in the middle":       {raw(p, half), collector.StepOutput, collector.ErrClosed, "interface eth"},
		"closed after a line":        {raw(p, half+"0\r\n"), collector.StepOutput, collector.ErrClosed, "interface eth0"},
		"closed before the answer":   {raw(p, "show run\r\n"), collector.StepOutput, collector.ErrClosed, "show run"},
		"closed before the echo":     {raw(p, ""), collector.StepOutput, collector.ErrClosed, ""},
		"closed behind a quotation":  {raw(p, crlf("show run\nhostname r1\n!\ninterface eth0\n!\nbanner motd ^C\n% Authorization failed\n")), collector.StepOutput, collector.ErrClosed, "Authorization failed"},
		"refused and closed":         {raw(p, "show run\r\n% Authorization failed\r\nBye\r\n"), collector.StepOutput, collector.ErrRightsMissing, "Authorization failed"},
		"connection reset":           {func(tt *tty) { raw(p, half)(tt); _ = tt.conn.Close() }, collector.StepOutput, collector.ErrClosed, "interface eth"},
		"another device's prompt":    {func(tt *tty) { raw(p, half+"0\r\nr2# ")(tt); tt.freeze() }, collector.StepOutput, collector.ErrTimedOut, "r2#"},
		"no echo where there is one": {func(tt *tty) { raw(p, "\r\n"+p)(tt); tt.freeze() }, collector.StepOutput, collector.ErrIncomplete, "r1#"},
		"a text that nobody asked for": {func(tt *tty) {
			raw(p, "ip route 0.0.0.0/0 192.0.2.1\r\nend\r\n"+p+"show run\r\nend\r\n"+p)(tt)
			tt.freeze()
		}, collector.StepOutput, collector.ErrIncomplete, "r1#"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := runOnce(t, &device{shell: tt.shell}, plainDialogue(), "show run")
			if len(out.Text) > 0 {
				t.Errorf("a text came with the error: %q", out.Text)
			}
			if e := wantError(t, err, tt.step, tt.kind); !strings.Contains(e.Seen, tt.seen) {
				t.Errorf("Seen = %q, want %q in it", e.Seen, tt.seen)
			}
		})
	}
}

// A prompt that comes before the end of the answer (PAN-OS does that, and a line
// of a banner can look like it) is no end while more comes within the settle
// time; and what comes later fails the next command.
func TestPromptBeforeTheEndOfAnAnswer(t *testing.T) {
	t.Parallel()
	const p = "r1# "
	t.Run("within the settle time", func(t *testing.T) {
		dialogue := plainDialogue()
		dialogue.Settle = 150
		d := &device{shell: stay(func(tt *tty) {
			raw(p, "show run\r\nhostname r1\r\n"+p)(tt)
			time.Sleep(20 * time.Millisecond)
			tt.puts("\r\nend\r\n" + p)
		})}
		out, err := runOnce(t, d, dialogue, "show run")
		if want := "hostname r1\nr1# \nend\n"; err != nil || string(out.Text) != want {
			t.Errorf("Run = %q, %v; want %q", out.Text, err, want)
		}
	})
	t.Run("while we do not get the processor", func(t *testing.T) {
		held := make(chan bool)
		d := (&device{shell: stay(func(tt *tty) {
			raw(p, "show run\r\nhostname r1\r\n"+p)(tt)
			<-held
			tt.puts("\r\nend\r\n" + p)
		})}).start(t)
		s := mustOpen(t, d.target(), plainDialogue(), Options{})
		s.con.t.expect(func(line, _ []byte) bool { return s.prompt.is(line) })
		if err := s.con.send("show run"); err != nil {
			t.Fatal(err)
		}
		once := sync.OnceFunc(func() {
			before := s.con.t.status().got
			close(held)
			for s.con.t.status().got == before {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(2 * s.settle(atPrompt))
		})
		v, end := s.con.wait(t.Context(), patience{silence: 2 * time.Second, settle: s.settle}, func() verdict {
			if s.con.lines == nil || !s.prompt.is(s.con.line) {
				return unfinished
			}
			once()
			return atPrompt
		})
		if want := p + "show run\nhostname r1\n" + p + "\nend\n"; v != atPrompt || end != found || string(s.con.lines) != want {
			t.Errorf("%v, %v, %q; want %q", v, end, s.con.lines, want)
		}
	})
	t.Run("later", func(t *testing.T) {
		first := make(chan bool)
		d := (&device{shell: func(tt *tty) {
			raw(p, "show run\r\nhostname r1\r\n"+p)(tt)
			<-first
			tt.puts("\r\ninterface eth0\r\nend\r\n" + p)
			prompting("", map[string]string{})(tt)
		}}).start(t)
		s := mustOpen(t, d.target(), plainDialogue(), Options{})
		if _, err := s.Run(context.Background(), "show run"); err != nil {
			t.Fatal(err)
		}
		close(first)
		_, err := s.Run(context.Background(), "show version")
		_ = wantError(t, err, collector.StepOutput, collector.ErrIncomplete)
		if _, again := s.Run(context.Background(), "show clock"); again == nil {
			t.Error("a session out of step goes on")
		}
	})
}

// spoken is what a device says to a terminal, piece by piece.
type spoken struct{ says chan string }

func (w spoken) Read(b []byte) (int, error) {
	s, open := <-w.says
	if !open {
		return 0, io.EOF
	}
	return copy(b, s), nil
}

func (w spoken) Write(b []byte) (int, error) { return len(b), nil }

// Where the whole process stood still, what came meanwhile is seen a moment after its
// timers: a prompt is looked at once more.
func TestAPromptIsLookedAtAgainAfterAStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const settle, standstill = 30 * time.Millisecond, time.Second
		w := spoken{make(chan string)}
		term := newTerminal(w, nil, 0, 1<<20)
		ch, err := term.over()
		if err != nil {
			t.Fatal(err)
		}
		c := &console{t: term, ch: ch, enter: "\n"}
		term.expect(func(line, _ []byte) bool { return string(line) == "r1# " })
		go func() {
			w.says <- "hostname r1\nr1# "
			time.Sleep(standstill + settle + 10*time.Millisecond)
			w.says <- "\nend\nr1# "
		}()
		stands := sync.OnceFunc(func() { time.Sleep(standstill) })
		v, end := c.wait(t.Context(), patience{silence: time.Minute, settle: func(verdict) time.Duration {
			stands()
			return settle
		}}, func() verdict {
			if string(c.line) == "r1# " {
				return atPrompt
			}
			return unfinished
		})
		if want := "hostname r1\nr1# \nend\n"; v != atPrompt || end != found || string(c.lines) != want {
			t.Errorf("%v, %v, %q; want %q", v, end, c.lines, want)
		}
		close(w.says)
		_, _ = term.Close(), ch.Close()
	})
}

// A line that looks like the pager is text where paging was turned off; to answer
// it would take the line out of the text, and send a blank for it.
func TestTextThatLooksLikeAPagerStaysWholeWherePagingIsOff(t *testing.T) {
	t.Parallel()
	const p = "r1# "
	want := "banner motd ^C\n--More--\nread the rules (yes/no)\n^C\nend\n"
	d := (&device{shell: func(tt *tty) {
		for {
			tt.puts(p)
			l, ok := tt.line()
			if !ok {
				return
			}
			if l != "show run" {
				continue
			}
			for _, piece := range []string{"banner motd ^C\n--More--", "\nread the rules (yes/no)", "\n^C\nend\n"} {
				tt.puts(crlf(piece))
				time.Sleep(150 * time.Millisecond) // a slow device pauses anywhere
			}
		}
	}}).start(t)
	dialogue := plainDialogue()
	dialogue.Paging, dialogue.Pager = []string{"terminal length 0"}, patterns(`^ ?--More-- ?$`)[0]
	dialogue.Login = []Question{{When: patterns(`\(yes/no\)$`)[0], Send: "yes"}}
	s := mustOpen(t, d.target(), dialogue, Options{})
	out, err := s.Run(context.Background(), "show run")
	if err != nil || string(out.Text) != want || out.Pages != 0 {
		t.Errorf("Run = %q (%d pages), %v; want %q", out.Text, out.Pages, err, want)
	}
	if n := d.did("> yes"); n != 0 {
		t.Error("a line of the text was answered")
	}
}

func TestRefusalsAreLookedForInTheFirstLinesOnly(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"wrong":    "     ^\n% Invalid input detected at '^' marker.\n\n",
		"denied":   "% Authorization failed\n",
		"locked":   "% Configuration is locked by other VTY\n",
		"show run": smallConfig,
	}
	d := (&device{shell: prompting("r1# ", answers)}).start(t)
	s := mustOpen(t, d.target(), plainDialogue(), Options{})
	for command, kind := range map[string]collector.Kind{"wrong": collector.ErrCommandRejected, "denied": collector.ErrRightsMissing, "locked": collector.ErrBusy} {
		out, err := s.Run(context.Background(), command)
		_ = wantError(t, err, collector.StepCommand, kind)
		if len(out.Text) > 0 {
			t.Errorf("%s: a text came with the refusal", command)
		}
	}
	// After refusals the session goes on, and a banner may quote one.
	if out, err := s.Run(context.Background(), "show run"); err != nil || string(out.Text) != smallConfig {
		t.Errorf("Run = %q, %v", out.Text, err)
	}
	_, err := s.Run(context.Background(), "show run\nreload")
	_ = wantError(t, err, collector.StepCommand, collector.ErrCommandRejected)
	if n := d.did("> reload"); n != 0 {
		t.Error("a second line was sent")
	}
}

func TestAnswerTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	d := (&device{shell: prompting("r1# ", map[string]string{"show run": strings.Repeat("x\n", 20000)})}).start(t)
	target := d.target()
	target.Limits.MaxBytes = 30000
	s := mustOpen(t, target, plainDialogue(), Options{})
	_, err := s.Run(context.Background(), "show run")
	_ = wantError(t, err, collector.StepOutput, collector.ErrTooLarge)

	d = (&device{shell: prompting("r1# ", map[string]string{"show run": strings.Repeat("x\n", 14000)})}).start(t)
	target.Addr = d.addr()
	s = mustOpen(t, target, plainDialogue(), Options{})
	out, err := s.Run(context.Background(), "show run")
	if err != nil || len(out.Text) != 28000 {
		t.Errorf("just below the limit: %d bytes, %v", len(out.Text), err)
	}
}

func TestLargeAnswersTakeLinearTime(t *testing.T) {
	var b bytes.Buffer
	for i := 0; b.Len() < 20<<20; i++ {
		fmt.Fprintf(&b, " permit ip host 192.0.2.%d any log-input\r\n", i%256)
	}
	config := strings.ReplaceAll(b.String(), "\r", "")
	d := (&device{shell: func(tt *tty) {
		for {
			tt.puts("r1# ")
			l, ok := tt.line()
			if !ok {
				return
			}
			if l != "" {
				tt.puts(b.String())
			}
		}
	}}).start(t)
	s := mustOpen(t, d.target(), plainDialogue(), Options{})
	start := time.Now()
	out, err := s.Run(context.Background(), "show run")
	if err != nil || string(out.Text) != config {
		t.Fatalf("%d bytes of %d, %v", len(out.Text), len(config), err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("20 MB took %v", took)
	}
}

func TestQuestionInsideACommand(t *testing.T) {
	t.Parallel()
	const p = "r1# "
	dialogue := plainDialogue()
	dialogue.Login = []Question{
		{When: patterns(`^Press any key to continue $`)[0], Send: ""},
		{When: patterns(`^Overwrite\? \[y/n\] $`)[0], Stop: true, Why: "the command would overwrite a file"},
	}
	asking := func(q string) *device {
		return &device{shell: func(tt *tty) {
			raw(p, "show tech\r\none\r\n"+q)(tt)
			if _, ok := tt.silent(); !ok {
				return
			}
			tt.puts("\r\ntwo\r\n" + p)
			tt.freeze()
		}}
	}
	out, err := runOnce(t, asking("Press any key to continue "), dialogue, "show tech")
	if err != nil || !strings.HasSuffix(string(out.Text), "two\n") {
		t.Errorf("Run = %q, %v", out.Text, err)
	}
	_, err = runOnce(t, asking("Overwrite? [y/n] "), dialogue, "show tech")
	_ = wantError(t, err, collector.StepOutput, collector.ErrNoPrompt)
}

func TestNoiseLiterals(t *testing.T) {
	for pattern, want := range map[string]string{
		`STARVATION: task vtysh_rl_read`:                    "STARVATION: task vtysh_rl_read",
		`^Warning: connecting to \S+\.\.\.(?:failed|done)!`: "Warning: connecting to ",
		`(?i)warning`: "",
		`a|b`:         "",
		`(?:abc)+x`:   "abc",
		`^(?:abc)?x$`: "x",
	} {
		if got := string(literalOf(pattern)); got != want {
			t.Errorf("literalOf(%q) = %q, want %q", pattern, got, want)
		}
	}
}

func FuzzEcho(f *testing.F) {
	f.Add("show run\n", "show run")
	f.Add("show ru\nnning \n", "show running")
	f.Add("$nning\n", "show running")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, text, command string) {
		n, more := echo([]byte(text), command)
		if n < 0 || n > len(text) || n > 0 && more {
			t.Fatalf("echo(%q, %q) = %d, %t", text, command, n, more)
		}
		if n > 0 && text[n-1] != '\n' {
			t.Errorf("the echo %q does not end with its line", text[:n])
		}
		clean := strings.Trim(command, " ")
		if clean != "" && !strings.ContainsAny(command, "\n\r") && !strings.HasPrefix(command, "$") {
			if n, _ := echo([]byte(command+"\nanswer\n"), command); n != len(command)+1 {
				t.Errorf("the echo of %q has length %d", command, n)
			}
		}
	})
}

// A device that takes a line at the carriage return of a keyboard and counts a line
// feed behind it as a further, empty line.
func TestLineEndOfAKeyboard(t *testing.T) {
	shell := func(tty *tty) {
		for {
			tty.puts("ss1> ")
			l, err := tty.in.ReadString('\r')
			if err != nil || strings.Contains(l, "\n") {
				return
			}
			l = strings.TrimSuffix(l, "\r")
			tty.puts(l + "\r\n")
			if l == "config c show" {
				tty.puts("eth 0 IPaddr \"192.0.2.1\"\r\nOK\r\n")
			}
		}
	}
	d := plainDialogue()
	d.Prompt, d.Enter = regexp.MustCompile(`^ss\d+> ?$`), "\r"
	out, err := runOnce(t, &device{shell: shell}, d, "config c show")
	if want := "eth 0 IPaddr \"192.0.2.1\"\nOK\n"; err != nil || string(out.Text) != want {
		t.Errorf("Run = %q, %v; want %q", out.Text, err, want)
	}
}

func TestLastLinesAreWhatTheDeviceSaidLast(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"% Authorization failed.", "% Authorization failed."},
		{"% No entry\na\nb\nc\nd\ne\n", "a\nb\nc\nd\ne\n"},
		{"% No entry\na\n\nb\n\n\nc\nd\ne", "a\n\nb\n\n\nc\nd\ne"},
		{"\n\n% Bye\n\n", "\n\n% Bye\n\n"},
	} {
		if got := string(lastLines([]byte(c.text))); got != c.want {
			t.Errorf("of %q: %q, want %q", c.text, got, c.want)
		}
	}
}
