package settings

import (
	"testing"
	"time"
)

func TestBlackoutFollowsTheWallClock(t *testing.T) {
	zones := map[string]*time.Location{}
	for _, name := range []string{"Europe/Paris", "America/New_York", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones[name] = zone
	}
	office := []string{"Mon-Fri 08:00-18:00"}
	tests := map[string]struct {
		hours []string
		zone  string
		at    string // UTC; 2026-07-01 is a Wednesday
		until string // UTC; empty: open
	}{
		"before":                      {office, "UTC", "2026-07-01T07:59:59Z", ""},
		"as it begins":                {office, "UTC", "2026-07-01T08:00:00Z", "2026-07-01T18:00:00Z"},
		"as it ends":                  {office, "UTC", "2026-07-01T18:00:00Z", ""},
		"Saturday":                    {office, "UTC", "2026-07-04T12:00:00Z", ""},
		"summer in Paris":             {office, "Europe/Paris", "2026-07-01T06:30:00Z", "2026-07-01T16:00:00Z"},
		"winter in New York":          {office, "America/New_York", "2026-01-07T13:30:00Z", "2026-01-07T23:00:00Z"},
		"every day":                   {[]string{"08:00-18:00"}, "UTC", "2026-07-04T12:00:00Z", "2026-07-04T18:00:00Z"},
		"days over the week's end":    {[]string{"Fri-Mon 08:00-18:00"}, "UTC", "2026-07-05T12:00:00Z", "2026-07-05T18:00:00Z"},
		"not on a Tuesday":            {[]string{"Fri-Mon 08:00-18:00"}, "UTC", "2026-07-07T12:00:00Z", ""},
		"over midnight, before it":    {[]string{"Fri 22:00-06:00"}, "UTC", "2026-07-03T23:00:00Z", "2026-07-04T06:00:00Z"},
		"over midnight, after it":     {[]string{"Fri 22:00-06:00"}, "UTC", "2026-07-04T05:59:00Z", "2026-07-04T06:00:00Z"},
		"the morning of its first":    {[]string{"Fri 22:00-06:00"}, "UTC", "2026-07-03T05:00:00Z", ""},
		"hours that adjoin are one":   {[]string{"sat 12:00-24:00", "Sun 00:00-10:00"}, "UTC", "2026-07-04T13:00:00Z", "2026-07-05T10:00:00Z"},
		"Paris, the night with 23 h":  {[]string{"Sat 22:00-05:00"}, "Europe/Paris", "2026-03-29T02:59:00Z", "2026-03-29T03:00:00Z"},
		"Paris, the night with 25 h":  {[]string{"Sat 22:00-05:00"}, "Europe/Paris", "2026-10-25T03:59:00Z", "2026-10-25T04:00:00Z"},
		"New York, 23 h":              {[]string{"Sat 22:00-05:00"}, "America/New_York", "2026-03-08T08:59:00Z", "2026-03-08T09:00:00Z"},
		"New York, 25 h":              {[]string{"Sat 22:00-05:00"}, "America/New_York", "2026-11-01T09:59:00Z", "2026-11-01T10:00:00Z"},
		"an end that does not exist":  {[]string{"Sun 01:00-02:30"}, "Europe/Paris", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		"an hour that comes twice, 1": {[]string{"Sun 02:00-03:00"}, "Europe/Paris", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"},
		"an hour that comes twice, 2": {[]string{"Sun 02:00-03:00"}, "Europe/Paris", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			var s Scope
			for _, text := range tt.hours {
				h, err := parseHours(text)
				if err != nil {
					t.Fatal(err)
				}
				s.BlackoutHours = append(s.BlackoutHours, h)
			}
			until, within := s.Blackout(at, zones[tt.zone])
			got := ""
			if within {
				got = until.UTC().Format(time.RFC3339)
			}
			if got != tt.until {
				t.Errorf("closed until %q, want %q", got, tt.until)
			}
		})
	}
	for _, text := range []string{"", "Mon-Fri", "08:00", "08:00-08:00", "Mon-Fry 08:00-18:00", "8-18", "24:00-06:00", "Mon 08:00-25:00", "Mon Tue 08:00-18:00", "Mon-Fri 08:00 - 18:00"} {
		if _, err := parseHours(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
