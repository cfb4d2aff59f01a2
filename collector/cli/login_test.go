package cli

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/collector"
)

const lookalikes = "**********\r\nthe-other-device#\r\nthe-other-device> show running-config\r\n[root@r9]#\r\n<r9>\r\nPassword: is never asked\r\nr1#\r\nr1# \r\n --More-- \r\n# end of notice $\r\n**********\r\n"

// The prompt is the line that comes again for an empty line, never a line of a
// banner, at whatever pace that comes.
func TestPromptIsNotALineOfABanner(t *testing.T) {
	slow := func(tt *tty) {
		for _, l := range strings.SplitAfter(lookalikes, "\n") {
			// The pause falls behind the look-alike, where its line end is still to come.
			head := strings.TrimRight(l, "\r\n")
			tt.puts(head)
			time.Sleep(50 * time.Millisecond)
			tt.puts(l[len(head):])
		}
		prompting("core1# ", map[string]string{"show version": "FRR\n"})(tt)
	}
	tests := map[string]struct {
		shell func(*tty)
		name  string
		line  string
	}{
		"no banner":               {prompting("core1# ", map[string]string{"show version": "FRR\n"}), "core1", "core1#"},
		"look-alikes":             {after(lookalikes, prompting("core1# ", map[string]string{"show version": "FRR\n"})), "core1", "core1#"},
		"look-alikes, slowly":     {slow, "core1", "core1#"},
		"user prompt":             {prompting("core1>", map[string]string{"show version": "FRR\n"}), "core1", "core1>"},
		"mode in the prompt":      {prompting("core1(config)#", map[string]string{"show version": "FRR\n"}), "core1", "core1(config)#"},
		"NUL behind the prompt":   {prompting("core1#\x00", map[string]string{"show version": "FRR\n"}), "core1", "core1#"},
		"coloured":                {prompting("\x1b[32mcore1\x1b[0m# ", map[string]string{"show version": "FRR\n"}), "core1", "core1#"},
		"CR before it":            {prompting("\rcore1# ", map[string]string{"show version": "FRR\n"}), "core1", "core1#"},
		"redrawn":                 {prompting("core1# \rcore1# ", map[string]string{"show version": "FRR\n"}), "core1", "core1#"},
		"waits for an empty line": {func(tt *tty) { tt.line(); prompting("core1# ", map[string]string{"show version": "FRR\n"})(tt) }, "core1", "core1#"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := (&device{shell: tt.shell, banner: strings.ReplaceAll(lookalikes, "\r", "")}).start(t)
			target := d.target()
			target.Limits.Login = 8 * time.Second
			s := mustOpen(t, target, plainDialogue(), Options{})
			if s.Hostname() != tt.name || s.Prompt() != tt.line {
				t.Errorf("learned %q of %q, want %q of %q", s.Prompt(), s.Hostname(), tt.line, tt.name)
			}
			out, err := s.Run(context.Background(), "show version")
			if err != nil || string(out.Text) != "FRR\n" {
				t.Errorf("Run = %q, %v", out.Text, err)
			}
		})
	}
}

func TestLearnedPrompt(t *testing.T) {
	tests := map[string]struct {
		learned string
		name    string
		yes     []string
		no      []string
	}{
		"IOS":      {"sw9#", "sw9", []string{"sw9#", "sw9# ", "sw9(config)#", "sw9(config-if)#"}, []string{"sw9", "sw9>", "sw99#", "asw9#", " sw9#", "sw9#show run", "sw9 #x", "sw9(#", "SW9#"}},
		"FRR":      {"core1# ", "core1", []string{"core1# ", "core1(config-router)# "}, []string{"core1#", "core1> ", "core1#x", "core1 is up#"}},
		"Junos":    {"admin@mx1> ", "mx1", []string{"admin@mx1> "}, []string{"admin@mx1# ", "root@mx1> "}},
		"FortiOS":  {"FGT-01 # ", "FGT-01", []string{"FGT-01 # ", "FGT-01 (global) # ", "FGT-01 (root) # "}, []string{"FGT-01", "FGT-01 global # "}},
		"context":  {"FGT-01 (global) # ", "FGT-01", []string{"FGT-01 (global) # ", "FGT-01 # "}, nil},
		"IOS-XR":   {"RP/0/RSP0/CPU0:pe1#", "pe1", []string{"RP/0/RSP0/CPU0:pe1#", "RP/0/RSP0/CPU0:pe1(config)#"}, []string{"pe1#"}},
		"VRP":      {"<ar1>", "ar1", []string{"<ar1>"}, []string{"[ar1]", "<ar1", "<ar1>>"}},
		"HRP pair": {"HRP_M<fw1>", "fw1", []string{"HRP_M<fw1>"}, []string{"HRP_S<fw1>", "<fw1>"}},
		"a domain": {"ops@example.net@fw1> ", "fw1", []string{"ops@example.net@fw1> "}, nil},
		"RouterOS": {"[admin@rb1] > ", "rb1", []string{"[admin@rb1] > "}, []string{"[admin@rb1] /ip> "}},
		"a shell":  {"ops@r1:~$ ", "r1", []string{"ops@r1:~$ "}, []string{"ops@r1:/etc$ "}},
		"odd":      {"== ready ==", "ready", []string{"== ready =="}, []string{"== ready", "== ready ==="}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := learn([]byte(tt.learned))
			if p.name != tt.name {
				t.Errorf("name %q, want %q", p.name, tt.name)
			}
			for _, line := range tt.yes {
				if !p.is([]byte(line)) {
					t.Errorf("%q is not taken for the prompt %q", line, tt.learned)
				}
			}
			for _, line := range append(tt.no, "", " ", "!", "end") {
				if p.is([]byte(line)) {
					t.Errorf("%q is taken for the prompt %q", line, tt.learned)
				}
			}
		})
	}
}

// EXOS numbers its prompts. The number is no part of what is learned, the rest is.
func TestPromptThatCountsIsLearned(t *testing.T) {
	shape := regexp.MustCompile(`^(?:\* )?(?:Slot-\d+ )?[\w.\-]+\.(\d+) [#>] ?$`)
	p := learnAs([]byte("* Slot-1 x440.9 # "), shape)
	if p.name != "x440" {
		t.Errorf("name %q", p.name)
	}
	for line, want := range map[string]bool{
		"* Slot-1 x440.9 # ": true, "* Slot-1 x440.10 # ": true, "* Slot-1 x440.1234 # ": true,
		"* Slot-1 x440. # ": false, "* Slot-1 x440.10 > ": false, "Slot-1 x440.10 # ": false, "* Slot-1 x440.10 # show": false, "* Slot-1 x440.1x # ": false,
	} {
		if p.is([]byte(line)) != want {
			t.Errorf("%q is the prompt: %t, want %t", line, !want, want)
		}
	}
	if p := learnAs([]byte("x440.9 # "), regexp.MustCompile(`^\S+ # $`)); p.counts || p.is([]byte("x440.10 # ")) {
		t.Error("a shape without a group counts")
	}
}

func TestAnswersEndAtThePromptWithTheNextNumber(t *testing.T) {
	t.Parallel()
	d := (&device{shell: func(tt *tty) {
		for n := 1; ; n++ {
			tt.puts(fmt.Sprintf("* x440.%d # ", n))
			l, ok := tt.line()
			if !ok {
				return
			}
			if l != "" {
				tt.puts("# Module vlan configuration.\r\ncreate vlan users\r\nx440.2 # is a note\r\n")
			}
		}
	}}).start(t)
	dialogue := plainDialogue()
	dialogue.Prompt = regexp.MustCompile(`^(?:\* )?[\w.\-]+\.(\d+) [#>] ?$`)
	s := mustOpen(t, d.target(), dialogue, Options{})
	for range 3 {
		out, err := s.Run(t.Context(), "show configuration")
		if want := "# Module vlan configuration.\ncreate vlan users\nx440.2 # is a note\n"; err != nil || string(out.Text) != want {
			t.Errorf("Run() = %q, %v", out.Text, err)
		}
	}
	if s.Hostname() != "x440" {
		t.Errorf("Hostname() = %q", s.Hostname())
	}
}

// A recorded FastIron shows its next prompt right behind the last one when it is
// sent an empty line; the first of all was not even whole.
func TestPromptBehindThePromptIsLearned(t *testing.T) {
	t.Parallel()
	d := (&device{shell: func(tt *tty) {
		tt.puts("SSH@sw1#")
		for {
			l, ok := tt.silent()
			if !ok {
				return
			}
			if l != "" {
				tt.puts(l + "\r\nver 08.0.95\r\nend\r\n")
			}
			tt.puts("SSH@sw1##")
		}
	}}).start(t)
	dialogue := plainDialogue()
	dialogue.Prompt = regexp.MustCompile(`^SSH@\S+[#>] ?$`)
	target := d.target()
	target.Limits.Login = 10 * time.Second // each empty line is waited for
	s := mustOpen(t, target, dialogue, Options{})
	out, err := s.Run(t.Context(), "show running-config")
	if want := "ver 08.0.95\nend\n"; err != nil || string(out.Text) != want || s.Prompt() != "SSH@sw1##" {
		t.Errorf("Run() = %q, %v at %q", out.Text, err, s.Prompt())
	}
}

func FuzzPrompt(f *testing.F) {
	f.Add("core1# ", "core1(config)# ")
	f.Add("FGT-01 (global) # ", "FGT-01 # ")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, learned, line string) {
		p := learn([]byte(learned))
		if n := p.length([]byte(line)); n < 0 || n > len(line) {
			t.Errorf("length %d of %q", n, line)
		}
		trimmed := strings.TrimRight(learned, " ")
		if trimmed != "" && !strings.ContainsAny(learned, "\n()") && !p.is([]byte(learned)) && !p.is([]byte(trimmed+" ")) {
			t.Errorf("%q does not know itself: %+v", trimmed, p)
		}
	})
}

// enabling is a shell at the user's prompt; right says which password is right,
// again how often the device asks after a wrong one.
func enabling(right string, again int, refusal string) func(*tty) {
	return func(tt *tty) {
		for {
			tt.puts("sw1>")
			l, ok := tt.line()
			if !ok {
				return
			}
			if l != "enable" {
				continue
			}
			if right == "" {
				break
			}
			good := false
			for range again {
				tt.puts("Password: ")
				pw, ok := tt.silent()
				if !ok {
					return
				}
				tt.puts("\r\n")
				if good = pw == right; good {
					break
				}
			}
			if good {
				break
			}
			tt.puts(refusal)
		}
		prompting("sw1#", map[string]string{"show run": "hostname sw1\nend\n"})(tt)
	}
}

func TestEnable(t *testing.T) {
	dialogue := plainDialogue()
	dialogue.Enable = Enable{When: regexp.MustCompile(`>$`), Command: "enable", Asks: regexp.MustCompile(`(?i)^password: ?$`), Fails: patterns(`^% Bad secrets`)}
	tests := map[string]struct {
		shell    func(*tty)
		secret   bool
		kind     collector.Kind
		attempts string
		sent     int
		do       string
	}{
		"accepted":                 {enabling(testEnable, 3, ""), true, "", "[password true] [enable true]", 1, ""},
		"needs no password":        {enabling("", 0, ""), false, "", "[password true]", 0, ""},
		"refused, asked again":     {enabling("other", 3, "% Bad secrets\r\n"), true, collector.ErrEnableRejected, "[password true] [enable false]", 1, "Store the right enable secret of credential noc"},
		"refused with a text":      {enabling("other", 1, "% Bad secrets\r\n"), true, collector.ErrEnableRejected, "[password true] [enable false]", 1, "Store the right"},
		"refused without a word":   {enabling("other", 1, ""), true, collector.ErrEnableRejected, "[password true] [enable false]", 1, "Store the right"},
		"no secret to answer with": {enabling(testEnable, 3, ""), false, collector.ErrEnableRejected, "[password true]", 0, "Store an enable secret for credential noc"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := (&device{shell: tt.shell}).start(t)
			target := d.target()
			if !tt.secret {
				target.Credential.Enable = target.Credential.Passphrase
			}
			var attempts []string
			start := time.Now()
			s, err := Open(context.Background(), target, dialogue, Options{Attempt: func(m string, ok bool) { attempts = append(attempts, fmt.Sprintf("[%s %t]", m, ok)) }})
			if tt.kind != "" {
				if e := wantError(t, err, collector.StepEnable, tt.kind); !strings.Contains(e.Do, tt.do) {
					t.Errorf("Do = %q, want %q in it", e.Do, tt.do)
				}
				if took := time.Since(start); took > 1500*time.Millisecond {
					t.Errorf("took %v: a second question is a refusal at once", took)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				out, err := s.Run(context.Background(), "show run")
				if err != nil || string(out.Text) != "hostname sw1\nend\n" {
					t.Errorf("Run = %q, %v", out.Text, err)
				}
				_ = s.Close()
			}
			if got := strings.Join(attempts, " "); got != tt.attempts {
				t.Errorf("attempts %s, want %s", got, tt.attempts)
			}
			if n := d.did("> " + testEnable); n != tt.sent {
				t.Errorf("the enable secret was sent %d times, want %d", n, tt.sent)
			}
		})
	}
}

// A device that returns the secret that it was given, and says much after it: the
// secret is masked before what it said is cut.
func TestNoHalfOfAnEnableSecretIsQuoted(t *testing.T) {
	t.Parallel()
	dialogue := plainDialogue()
	dialogue.Enable = Enable{When: regexp.MustCompile(`>$`), Command: "enable", Asks: regexp.MustCompile(`(?i)^password: ?$`)}
	after := strings.Repeat("x", collector.SeenLimit-len("cret-enable")-2*len("\n")-len("Password: ")) + "\r\nPassword: "
	d := (&device{shell: func(tt *tty) {
		tt.puts("sw1>")
		for {
			switch l, ok := tt.line(); {
			case !ok:
				return
			case l == "enable":
				tt.puts("Password: ")
			case l == "":
				tt.puts("sw1>")
			default:
				tt.puts(after)
			}
		}
	}}).start(t)
	_, err := Open(t.Context(), d.target(), dialogue, Options{})
	if e := wantError(t, err, collector.StepEnable, collector.ErrEnableRejected); strings.Contains(e.Seen, "-enable") {
		t.Errorf("Seen = %q", e.Seen)
	}
}

// A switch that takes any key without a word, and is slow after it: each answer
// that nobody asked for comes back as a prompt while the privilege is asked for.
func TestAQuestionIsAnsweredOnceHoweverSlowTheDevice(t *testing.T) {
	t.Parallel()
	var lines atomic.Int32
	d := (&device{shell: func(tt *tty) {
		tt.puts("Software revision\r\nPress any key to continue")
		if _, ok := tt.silent(); !ok {
			return
		}
		time.Sleep(200 * time.Millisecond)
		for {
			tt.puts("\r\nsw1> ")
			l, ok := tt.line()
			if !ok {
				return
			}
			time.Sleep(100 * time.Millisecond)
			lines.Add(1)
			if l == "enable" {
				break
			}
		}
		prompting("sw1# ", nil)(tt)
	}}).start(t)
	dialogue := plainDialogue()
	dialogue.Prompt = regexp.MustCompile(`^sw1[#>] ?$`)
	dialogue.Login = []Question{{When: regexp.MustCompile(`(?i)press any key to continue`)}}
	dialogue.Enable = Enable{When: regexp.MustCompile(`> ?$`), Command: "enable", Asks: regexp.MustCompile(`(?i)^password: ?$`)}
	s := mustOpen(t, d.target(), dialogue, Options{})
	if s.Prompt() != "sw1#" || lines.Load() != 2 {
		t.Errorf("prompt %q after %d lines, want one empty one and enable", s.Prompt(), lines.Load())
	}
}

func TestLoginQuestions(t *testing.T) {
	t.Parallel()
	asking := func(question, want string) func(*tty) {
		return func(tt *tty) {
			tt.puts(question)
			if l, ok := tt.line(); !ok || l != want {
				tt.puts("wrong answer\r\n")
				return
			}
			prompting("fw1 # ", nil)(tt)
		}
	}
	dialogue := plainDialogue()
	dialogue.Prompt = regexp.MustCompile(`^[\w.\-]+ # ?$`)
	dialogue.Login = []Question{
		{When: regexp.MustCompile(`\(Press 'a' to accept\):? ?$`), Send: "a"},
		{When: regexp.MustCompile(`(?i)change it now\? \[y/n\]: ?$`), Stop: true, Why: "the password has expired"},
	}
	t.Run("answered", func(t *testing.T) {
		d := (&device{shell: asking("Disclaimer\r\nPassword: none of your business\r\n(Press 'a' to accept): ", "a")}).start(t)
		s := mustOpen(t, d.target(), dialogue, Options{})
		if s.Hostname() != "fw1" {
			t.Errorf("hostname %q", s.Hostname())
		}
	})
	t.Run("only for a person", func(t *testing.T) {
		d := (&device{shell: asking("Your password has expired.\r\nDo you want to change it now? [y/n]: ", "n")}).start(t)
		_, err := Open(context.Background(), d.target(), dialogue, Options{})
		e := wantError(t, err, collector.StepPrompt, collector.ErrNoPrompt)
		if !strings.Contains(e.Do, "the password has expired") || !strings.Contains(e.Seen, "change it now") {
			t.Errorf("%v", e)
		}
		if d.did("> n")+d.did("> y")+d.did("> ") > 0 {
			t.Errorf("something was answered: %v", d.log)
		}
	})
	t.Run("expired, in words of its own", func(t *testing.T) {
		d := (&device{shell: asking("Password of backup has expired\r\nEnter a new password: ", "n")}).start(t)
		_, err := Open(context.Background(), d.target(), dialogue, Options{})
		if e := wantError(t, err, collector.StepPrompt, collector.ErrNoPrompt); !strings.Contains(e.Do, "Set a new password for account") || !strings.Contains(e.Seen, "has expired") {
			t.Errorf("%v", e)
		}
	})
	t.Run("asked for ever", func(t *testing.T) {
		d := (&device{shell: func(tt *tty) {
			for ok := true; ok; _, ok = tt.line() {
				tt.puts("(Press 'a' to accept): ")
			}
		}}).start(t)
		_, err := Open(context.Background(), d.target(), dialogue, Options{})
		_ = wantError(t, err, collector.StepPrompt, collector.ErrNoPrompt)
	})
}

// A device that ends the session after the login tells why in what it printed.
func TestClosedBeforeThePrompt(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]collector.Kind{
		"% Authorization failed.\r\n":      collector.ErrRightsMissing,
		"% Configuration is locked\r\n":    collector.ErrBusy,
		"Line has invalid autocommand\r\n": collector.ErrClosed,
		"":                                 collector.ErrClosed,
	} {
		d := (&device{shell: func(tt *tty) { tt.puts(text) }}).start(t)
		_, err := Open(context.Background(), d.target(), plainDialogue(), Options{})
		if e := wantError(t, err, collector.StepPrompt, kind); !strings.Contains(e.Seen, strings.TrimSpace(text)) {
			t.Errorf("Seen = %q, want %q", e.Seen, text)
		}
	}
	d := (&device{}).start(t)
	_, err := Open(context.Background(), d.target(), plainDialogue(), Options{})
	_ = wantError(t, err, collector.StepPrompt, collector.ErrNoPrompt)
}

// An idle timeout of the device looks like any other end, but for the silence.
func TestEndAfterSilenceSaysSo(t *testing.T) {
	for silent, want := range map[time.Duration]bool{0: false, 2400 * time.Millisecond: false, 5100 * time.Millisecond: true} {
		if do := endedAfter("r1", silent); strings.Contains(do, "after 5 s of silence: an idle timeout") != want || !strings.Contains(do, "the log of r1") {
			t.Errorf("after %s: %q", silent, do)
		}
	}
}

// A device that refuses a setting of the session is still read, through its
// pager; where we know no pager there is no way on.
func TestRefusedPagingIsNotTheEnd(t *testing.T) {
	t.Parallel()
	d := (&device{shell: prompting("r1#", map[string]string{"show run": "hostname r1\nend\n"})}).start(t)
	dialogue := plainDialogue()
	dialogue.Paging = []string{"terminal length 0", "terminal width 0"}
	s := mustOpen(t, d.target(), dialogue, Options{})
	refused := 0
	for _, st := range s.Steps() {
		if st.Step == collector.StepPaging && st.Kind == collector.ErrCommandRejected {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("refusals among the steps: %d, want 2: %+v", refused, s.Steps())
	}
	if out, err := s.Run(context.Background(), "show run"); err != nil || string(out.Text) != "hostname r1\nend\n" {
		t.Errorf("Run = %q, %v", out.Text, err)
	}
	dialogue.Pager = nil
	_, err := Open(context.Background(), d.target(), dialogue, Options{})
	_ = wantError(t, err, collector.StepPaging, collector.ErrCommandRejected)
}

func TestSessionAsksForAWideTerminal(t *testing.T) {
	for want, width := range map[int]int{511: 0, 200: 200} {
		got := make(chan int, 1)
		d := (&device{shell: func(tt *tty) { got <- tt.width; prompting("r1#", nil)(tt) }}).start(t)
		dialogue := plainDialogue()
		dialogue.Width = width
		mustOpen(t, d.target(), dialogue, Options{})
		if w := <-got; w != want {
			t.Errorf("width %d, want %d", w, want)
		}
	}
}
