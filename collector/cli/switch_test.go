package cli

import (
	"regexp"
	"strings"
	"testing"

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
