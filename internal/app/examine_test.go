package app

import (
	"strings"
	"testing"
	"time"
)

func TestDoctorSeesAClockThatIsWrong(t *testing.T) {
	now := time.Date(2026, 6, 1, 4, 20, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		now, newest time.Time
		says        string
	}{
		"right":                       {now, now.Add(-time.Hour), ""},
		"no event yet":                {now, time.Time{}, ""},
		"an event of the same moment": {now, now.Add(time.Second), ""},
		"gone back by a day":          {now, now.AddDate(0, 0, 1), "gone back"},
		"a board without a battery":   {time.Unix(100, 0), time.Time{}, "1970"},
	} {
		err := clock(tt.now, tt.newest)
		if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}
