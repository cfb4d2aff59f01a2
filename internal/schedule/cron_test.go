package schedule

import (
	"strings"
	"testing"
	"time"
)

func paris(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestFaultyExpressionsAreRefusedInOneSentence(t *testing.T) {
	tests := map[string]struct{ expr, says string }{
		"empty":                    {"", "no cron expression"},
		"words":                    {"every night", "no cron expression"},
		"four fields":              {"20 4 * *", "five fields"},
		"six fields":               {"0 20 4 * * *", "five fields"},
		"minute out of range":      {"61 4 * * *", "above maximum"},
		"time zone only (panics)":  {"CRON_TZ=UTC", "timezone:"},
		"time zone inside":         {"TZ=UTC 20 4 * * *", "timezone:"},
		"day that never comes":     {"0 0 31 2 *", "never comes"},
		"interval":                 {"@every 1h", "nothing missed"},
		"descriptor that is not":   {"@nightly", "no cron expression"},
		"range the wrong way":      {"0 9-5 * * *", "no cron expression"},
		"step of nothing":          {"*/0 * * * *", "no cron expression"},
		"number that is too large": {"99999999999999999999 * * * *", "no cron expression"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := Check(tt.expr)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Check(%q) = %v, want one sentence with %q", tt.expr, err, tt.says)
			}
		})
	}
	for _, expr := range []string{"20 4 * * *", "20 3 * * 0", "@daily", "0 0 29 2 *", "*/5 8-18 * * MON-FRI"} {
		if err := Check(expr); err != nil {
			t.Errorf("Check(%q) = %v, want nil", expr, err)
		}
	}
}

func TestNextTimesAreThoseOfTheZone(t *testing.T) {
	from := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC) // the night before clocks go forward
	times, err := NextTimes("20 4 * * *", paris(t), from, 2)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, at := range times {
		got = append(got, at.UTC().Format("01-02 15:04"))
	}
	if s := strings.Join(got, ", "); s != "03-29 02:20, 03-30 02:20" {
		t.Errorf("next times = %s, want 04:20 summer time", s)
	}
	if times, err = NextTimes("20 4 * * *", paris(t), from.AddDate(0, 0, -7), 1); err != nil || times[0].UTC().Hour() != 3 {
		t.Errorf("in winter = %v, %v, want 03:20 UTC", times, err)
	}
}

func TestHoursThatClocksSkipOrRepeatAreWarnedOf(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		expr string
		zone *time.Location
		want []string
	}{
		"half past two":     {"30 2 * * *", paris(t), []string{"2026-03-29", "2026-10-25"}},
		"after the change":  {"20 4 * * *", paris(t), nil},
		"before the change": {"30 1 * * *", paris(t), nil},
		"no summer time":    {"30 2 * * *", time.UTC, nil},
		"hourly":            {"30 * * * *", paris(t), nil},
		"Mondays only":      {"30 2 * * 1", paris(t), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Warnings(tt.expr, tt.zone, at)
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("Warnings = %q, %v, want %d of them", got, err, len(tt.want))
			}
			for i, day := range tt.want {
				if !strings.Contains(got[i], day) {
					t.Errorf("warning %q does not name %s", got[i], day)
				}
			}
		})
	}
}

func TestDailyMeansAtMostOnceADay(t *testing.T) {
	for expr, want := range map[string]bool{
		"20 4 * * *": true, "20 3 * * 0": true, "0 0 29 2 *": true, "@monthly": true,
		"0 4,16 * * *": false, "*/5 * * * *": false, "0 0,23 * * 1": false,
	} {
		if got := daily(expr); got != want {
			t.Errorf("daily(%q) = %t, want %t", expr, got, want)
		}
	}
}

func FuzzCheckNeverPanics(f *testing.F) {
	for _, seed := range []string{"20 4 * * *", "CRON_TZ=UTC", "TZ=", "@every 1h", "@", "0 0 31 2 *", "*/0 * * * *"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		if Check(expr) != nil {
			return
		}
		if times, err := NextTimes(expr, time.UTC, checkFrom, 1); err != nil || len(times) != 1 {
			t.Errorf("%q is accepted and has no next time: %v", expr, err)
		}
	})
}
