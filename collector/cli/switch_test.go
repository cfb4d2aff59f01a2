package cli

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"muster/collector"
)

// contexts is a firewall with contexts: each has a prompt and a text of its own.
func contexts(tt *tty) {
	prompt := "fw1# "
	for {
		tt.puts(prompt)
		l, ok := tt.line()
		to, switches := strings.CutPrefix(l, "changeto ")
		switch {
		case !ok || l == "exit":
			return
		case to == "context slow":
			tt.freeze()
			return
		case to == "context dmz":
			prompt = "fw1/dmz# "
		case to == "system":
			prompt = "fw1# "
		case switches:
			tt.puts("% Invalid context\r\n")
		case l == "show running-config" && prompt == "fw1/dmz# ":
			tt.puts("hostname dmz\r\nbanner motd fw1# \r\nfw1# \r\nend\r\n")
		case l == "show running-config":
			tt.puts("hostname fw1\r\nend\r\n")
		}
	}
}

func TestSwitchLeadsIntoAContextAndBack(t *testing.T) {
	dialogue := plainDialogue()
	dialogue.Prompt = regexp.MustCompile(`^[\w.\-/]{1,63}# ?$`)
	s := mustOpen(t, (&device{shell: contexts}).start(t).target(), dialogue, Options{})
	shows := func(want string) {
		t.Helper()
		if out, err := s.Run(t.Context(), "show running-config"); err != nil || string(out.Text) != want {
			t.Errorf("%q, %v; want %q", out.Text, err, want)
		}
	}
	shows("hostname fw1\nend\n")
	if err := s.Switch(t.Context(), "changeto context dmz"); err != nil {
		t.Fatal(err)
	}
	shows("hostname dmz\nbanner motd fw1# \nfw1# \nend\n") // the other prompt is text here
	if err := s.Switch(t.Context(), "changeto context gone"); collector.KindOf(err) != collector.ErrCommandRejected {
		t.Errorf("a context that is not there: %v", err)
	}
	shows("hostname dmz\nbanner motd fw1# \nfw1# \nend\n") // where it was
	if err := s.Switch(t.Context(), "changeto system"); err != nil {
		t.Fatal(err)
	}
	shows("hostname fw1\nend\n")
	if err := s.Switch(t.Context(), "changeto context slow"); collector.KindOf(err) != collector.ErrTimedOut && collector.KindOf(err) != collector.ErrNoPrompt {
		t.Errorf("a context that does not answer: %v", err)
	}
}

// A text that goes on behind a line that looks like its prompt is found out by what
// comes next, be that a command or the way out of the context.
func TestSwitchSeesThatTheAnswerBeforeWasCut(t *testing.T) {
	t.Parallel()
	const p = "fw1/dmz# "
	for name, next := range map[string]func(*Session) error{
		"a command": func(s *Session) error { _, err := s.Run(t.Context(), "show version"); return err },
		"a switch":  func(s *Session) error { return s.Switch(t.Context(), "changeto system") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := make(chan bool)
			d := (&device{shell: func(tt *tty) {
				raw(p, "show run\r\nhostname dmz\r\n"+p)(tt)
				<-first
				tt.puts("\r\naccess-list x deny any\r\nend\r\n" + p)
				prompting("", map[string]string{})(tt)
			}}).start(t)
			dialogue := plainDialogue()
			dialogue.Prompt = regexp.MustCompile(`^[\w.\-/]{1,63}# ?$`)
			s := mustOpen(t, d.target(), dialogue, Options{})
			if _, err := s.Run(t.Context(), "show run"); err != nil {
				t.Fatal(err)
			}
			before := s.con.t.status().got
			close(first)
			for st := s.con.t.status(); st.got == before || st.pending; st = s.con.t.status() {
				time.Sleep(time.Millisecond)
			}
			_ = wantError(t, next(s), collector.StepOutput, collector.ErrIncomplete)
		})
	}
}
