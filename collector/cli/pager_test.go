package cli

import (
	"regexp"
	"testing"
)

// Where a device turns the page in the middle of a line, the text before its
// pager stays.
func TestPagerStandsBehindText(t *testing.T) {
	for name, tt := range map[string]struct {
		pager, line string
		want        string
		found       bool
	}{
		"whole line":  {`^--More--\s*$`, "--More-- ", "", true},
		"behind text": {`^.{0,400}?(--More--)\s*$`, "read systemvi--More--", "read systemvi", true},
		"no pager":    {`^.{0,400}?(--More--)\s*$`, "a --More-- line", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Session{d: Dialogue{Pager: regexp.MustCompile(tt.pager)}}
			at := s.pagerAt([]byte(tt.line))
			if (at != nil) != tt.found || at != nil && tt.line[:at[0]] != tt.want {
				t.Errorf("pagerAt(%q) = %v, want it behind %q", tt.line, at, tt.want)
			}
		})
	}
}
