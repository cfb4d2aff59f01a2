package web

import (
	"strings"
	"testing"
	"time"

	"muster/backup"
	"muster/internal/api"
)

func TestUnifiedDiffIsRead(t *testing.T) {
	hunks := parseUnified("--- v1\n+++ v2\n@@ -2,3 +2,3 @@\n a\n--- looks like a head\n+++ so does this\n c\n@@ -9 +9,2 @@\n x\n+\n\\ No newline at end of file\n")
	if len(hunks) != 2 || len(hunks[0].Lines) != 4 || len(hunks[1].Lines) != 3 {
		t.Fatalf("%+v", hunks)
	}
	want := []diffLine{{" ", 2, 2, "a"}, {"-", 3, 0, "-- looks like a head"}, {"+", 0, 3, "++ so does this"}, {" ", 4, 4, "c"}}
	for i, w := range want {
		if got := hunks[0].Lines[i]; got != w {
			t.Errorf("line %d is %+v, want %+v", i, got, w)
		}
	}
	if got := hunks[1].Lines[1]; got != (diffLine{"+", 0, 10, ""}) {
		t.Errorf("an empty line that was added is %+v", got)
	}
	if got := hunks[1].Lines[2]; got.Mark != `\` || got.A != 0 || got.B != 0 {
		t.Errorf("the remark is %+v", got)
	}
	for _, none := range []string{"", "\n", "--- a\n+++ b\n"} {
		if got := parseUnified(none); len(got) != 0 {
			t.Errorf("parseUnified(%q) = %+v", none, got)
		}
	}
}

func TestHunksNameTheBlocksAround(t *testing.T) {
	tests := map[string]struct {
		text, diff, want string
	}{
		"a line in a block": {
			"interface Gi1\n description new\n no shut\n!\n",
			"@@ -1,3 +1,3 @@\n interface Gi1\n- description old\n+ description new\n  no shut\n", "interface Gi1"},
		"two levels": {
			"router bgp 1\n bgp log\n !\n address-family ipv4\n  network 192.0.2.0\n exit-address-family\n",
			"@@ -3,2 +3,3 @@\n  !\n  address-family ipv4\n+  network 192.0.2.0\n", "router bgp 1 › address-family ipv4"},
		"a line at top level":  {"a\nb\n", "@@ -1 +1,2 @@\n a\n+b\n", ""},
		"a block that is new":  {"a\ninterface Gi2\n shut\n", "@@ -1 +1,3 @@\n a\n+interface Gi2\n+ shut\n", ""},
		"a removed line":       {"interface Gi1\n no shut\n", "@@ -1,3 +1,2 @@\n interface Gi1\n- description x\n  no shut\n", "interface Gi1"},
		"the last line of all": {"interface Gi1\n", "@@ -1,2 +1 @@\n interface Gi1\n- description x\n", "interface Gi1"},
		"braces":               {"system {\n    login {\n        user x;\n    }\n}\n", "@@ -2 +2,2 @@\n     login {\n+        user x;\n", "system › login"},
		"another text":         {"something else\n", "@@ -1 +1,2 @@\n interface Gi1\n+ description x\n", ""},
		"a text that is short": {"", "@@ -7 +7,2 @@\n interface Gi1\n+ description x\n", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			hunks := parseUnified("--- a\n+++ b\n" + tt.diff)
			addParents(hunks, strings.Split(tt.text, "\n"))
			if hunks[0].Parent != tt.want {
				t.Errorf("parent %q, want %q", hunks[0].Parent, tt.want)
			}
		})
	}
}

func FuzzUnifiedDiffNeverPanics(f *testing.F) {
	f.Add("--- a\n+++ b\n@@ -1 +1,2 @@\n a\n+ b\n", "a\n b\n")
	f.Add("@@ -9999999999999999999 +0,0 @@\n-\n\\\n+", "")
	f.Fuzz(func(t *testing.T, diff, text string) {
		hunks := parseUnified(diff)
		addParents(hunks, strings.Split(text, "\n"))
		left, gone := cut(hunks, 3)
		n := gone
		for _, h := range left {
			n += len(h.Lines)
		}
		for _, h := range hunks {
			n -= len(h.Lines)
		}
		if n != 0 {
			t.Errorf("cut lost or made %d lines", n)
		}
	})
}

func TestOlderAndNewerChangesSkipVersionsThatAreGone(t *testing.T) {
	log := []api.Version{{Version: 9}, {Version: 7}, {Version: 4}, {Version: 1}} // some were purged
	for b, want := range map[int][2]string{
		9: {"/diff/a%20b/v4/v7", ""}, 7: {"/diff/a%20b/v1/v4", "/diff/a%20b/v7/v9"}, 4: {"", "/diff/a%20b/v4/v7"}, 1: {"", "/diff/a%20b/v1/v4"}, 5: {"", ""},
	} {
		if older, newer := besides("a b", b, log); older != want[0] || newer != want[1] {
			t.Errorf("besides version %d: %q, %q; want %q", b, older, newer, want)
		}
	}
}

// 14 switches with one change are one row.
func TestSameDriftOnManyDevicesIsOneRow(t *testing.T) {
	at := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	groups := groupDrift([]backup.Drift{
		{Device: "c", Kind: backup.DriftChanged, Group: "x", Since: at(2)},
		{Device: "a", Kind: backup.DriftChanged, Group: "x", Since: at(1)},
		{Device: "b", Kind: backup.DriftChanged, Group: "y", Since: at(0)},
		{Device: "a", Kind: backup.DriftUnsaved, Group: "x", Since: at(3)},
		{Device: "d", Kind: backup.DriftUnsaved, Since: at(4)}, // of no group: each by itself
		{Device: "e", Kind: backup.DriftUnsaved, Since: at(5)},
	})
	var got []string
	for _, g := range groups {
		got = append(got, string(g.Kind)+" "+strings.Join(g.Devices, ",")+" "+g.Since.Format("15"))
	}
	want := "unsaved a 15|unsaved d 16|unsaved e 17|changed b 12|changed a,c 13"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("groups %s, want %s", s, want)
	}
	if g := groups[4]; g.Diff != "/diff/a/approved/newest" || !strings.Contains(g.Do, "approve NAME") {
		t.Errorf("the group of two leads to %s and says %s", g.Diff, g.Do)
	}
	if g := groups[0]; g.Diff != "/diff/a/startup/running" {
		t.Errorf("an unsaved one leads to %s", g.Diff)
	}
}

func TestTimesHaveTheirAge(t *testing.T) {
	w := &site{o: Options{Now: func() time.Time { return noon }}}
	tests := map[string]struct {
		at        time.Time
		when, ago string
	}{
		"now":         {noon, "0 s 12:00", "just now"},
		"seconds":     {noon.Add(-30 * time.Second), "30 s 11:59", "30 s ago"},
		"minutes":     {noon.Add(-119 * time.Minute), "119 min 10:01", "119 min ago"},
		"hours":       {noon.Add(-5 * time.Hour), "5 h 07:00", "5 h ago"},
		"a day":       {noon.Add(-30 * time.Hour), "30 h Mon 2 Nov", "30 h ago"},
		"weeks":       {noon.AddDate(0, 0, -21), "21 d Tue 13 Oct", "21 d ago"},
		"over a year": {noon.AddDate(-2, 0, 0), "730 d 2024-11-03", "730 d ago"},
		"to come":     {noon.Add(90 * time.Minute), "in 90 min 13:30", "in 90 min"},
		"never":       {time.Time{}, "", "never"},
		"other zones": {noon.Add(-5 * time.Hour).In(time.FixedZone("", 3*3600)), "5 h 07:00", "5 h ago"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			plain := func(s string) string { return tag.ReplaceAllString(s, "") }
			if got := plain(string(w.when(tt.at))); got != tt.when {
				t.Errorf("when: %q, want %q", got, tt.when)
			}
			if got := plain(string(w.ago(&tt.at))); got != tt.ago {
				t.Errorf("ago: %q, want %q", got, tt.ago)
			}
		})
	}
	if w.when((*time.Time)(nil)) != "" || w.ago(nil) != "never" {
		t.Error("a time that is not known is something")
	}
}
