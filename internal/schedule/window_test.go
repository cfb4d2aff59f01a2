package schedule

import (
	"testing"
	"time"
)

func TestWindowsOpenByTheWallClockAndLastByTheTimeThatPasses(t *testing.T) {
	zones := map[string]*time.Location{}
	for _, name := range []string{"Europe/Paris", "America/New_York", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones[name] = zone
	}
	tests := map[string]struct {
		zone, expr string
		last       time.Duration
		at         string // in UTC
		until      string // empty: closed
	}{
		"before":                               {"UTC", "0 22 * * *", 4 * time.Hour, "2026-07-01T21:59:59Z", ""},
		"as it opens":                          {"UTC", "0 22 * * *", 4 * time.Hour, "2026-07-01T22:00:00Z", "2026-07-02T02:00:00Z"},
		"a part of a second in":                {"UTC", "0 22 * * *", 4 * time.Hour, "2026-07-01T22:00:00.4Z", "2026-07-02T02:00:00Z"},
		"after midnight":                       {"UTC", "0 22 * * *", 4 * time.Hour, "2026-07-02T01:59:59Z", "2026-07-02T02:00:00Z"},
		"as it closes":                         {"UTC", "0 22 * * *", 4 * time.Hour, "2026-07-02T02:00:00Z", ""},
		"another weekday":                      {"UTC", "0 22 * * 2", 4 * time.Hour, "2026-07-01T22:30:00Z", ""},
		"longer than a day":                    {"UTC", "0 20 * * 5", 60 * time.Hour, "2026-07-05T12:00:00Z", "2026-07-06T08:00:00Z"},
		"winter in Paris":                      {"Europe/Paris", "0 22 * * *", time.Hour, "2026-01-10T21:30:00Z", "2026-01-10T22:00:00Z"},
		"summer in Paris":                      {"Europe/Paris", "0 22 * * *", time.Hour, "2026-07-10T20:30:00Z", "2026-07-10T21:00:00Z"},
		"summer in New York":                   {"America/New_York", "0 22 * * *", time.Hour, "2026-07-11T02:30:00Z", "2026-07-11T03:00:00Z"},
		"over the night with 23 h":             {"Europe/Paris", "0 22 * * *", 6 * time.Hour, "2026-03-29T02:59:00Z", "2026-03-29T03:00:00Z"}, // 05:00 CEST
		"over the night with 25 h":             {"Europe/Paris", "0 22 * * *", 6 * time.Hour, "2026-10-25T01:59:00Z", "2026-10-25T02:00:00Z"}, // 03:00 CET
		"closed when 6 h are over, with 25 h":  {"Europe/Paris", "0 22 * * *", 6 * time.Hour, "2026-10-25T02:30:00Z", ""},
		"New York, 23 h":                       {"America/New_York", "0 22 * * *", 6 * time.Hour, "2026-03-08T08:59:00Z", "2026-03-08T09:00:00Z"}, // 05:00 EDT
		"New York, 25 h":                       {"America/New_York", "0 22 * * *", 6 * time.Hour, "2026-11-01T07:59:00Z", "2026-11-01T08:00:00Z"}, // 03:00 EST
		"a begin that does not exist":          {"Europe/Paris", "30 2 * * *", time.Hour, "2026-03-29T01:30:00Z", ""},
		"a begin that comes twice, the first":  {"Europe/Paris", "30 2 * * *", time.Hour, "2026-10-25T00:45:00Z", "2026-10-25T01:30:00Z"},
		"a begin that comes twice, the second": {"Europe/Paris", "30 2 * * *", time.Hour, "2026-10-25T01:45:00Z", "2026-10-25T02:30:00Z"},
		"windows that follow each other":       {"UTC", "0 * * * *", 90 * time.Minute, "2026-07-01T12:15:00Z", "2026-07-01T13:30:00Z"},
		"many that overlap":                    {"UTC", "* * * * *", 3 * time.Hour, "2026-07-01T12:15:00Z", "2026-07-01T15:15:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339Nano, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			until, within, err := Within(tt.expr, zones[tt.zone], tt.last, at)
			got := ""
			if within {
				got = until.UTC().Format(time.RFC3339)
			}
			if err != nil || got != tt.until {
				t.Errorf("open until %q, want %q (%v)", got, tt.until, err)
			}
		})
	}
	if _, _, err := Within("nonsense", time.UTC, time.Hour, time.Now()); err == nil {
		t.Error("a faulty expression was taken")
	}
}
