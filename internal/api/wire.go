package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/alert"
	"muster/internal/schedule"
	"muster/inventory"
)

// answer makes a handler of a function that returns what to send as JSON.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(v)
	}
}

func plain(w http.ResponseWriter, text []byte, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text)
}

func refuse(w http.ResponseWriter, err error) {
	e := refusal(err)
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, inventory.ErrNoDevice), errors.Is(err, schedule.ErrNoRun),
		errors.Is(err, backup.ErrNotStored), errors.Is(err, backup.ErrNothingWaits), errors.Is(err, alert.ErrNoAlert):
		code = http.StatusNotFound
	case errors.Is(err, backup.ErrReplaced), errors.Is(err, backup.ErrOtherChange):
		code = http.StatusConflict
	case e.Exit == 2:
		code = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]*Error{"error": e})
}

func body(r *http.Request, into any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, bodyLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return &Error{Message: "the request's body is not what " + r.Method + " " + r.URL.Path + " takes: " + err.Error(), Exit: 2}
	}
	return nil
}

func which(r *http.Request) backup.Which {
	return backup.Which{Version: count(r, "version"), Part: r.FormValue("part"), Quarantined: r.FormValue("quarantined") == "true", Capture: r.FormValue("capture")}
}

// count reads a number of a request; 0: there is none. What is no number is one
// that nothing has: the newest version must not pass for another.
func count(r *http.Request, name string) int {
	text := r.FormValue(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// change reads what the strings of a DeviceSet mean.
func (d DeviceSet) change() (inventory.Change, error) {
	c := inventory.Change{Name: d.Name, Site: d.Site, Platform: d.Platform, Credential: d.Credential, Tags: d.Tags, Port: d.Port, Managed: d.Managed, Disabled: d.Disabled}
	if d.Algorithms != nil {
		a := collector.Algorithms(*d.Algorithms)
		c.Algorithms = &a
	}
	if d.Timeout != nil {
		var t time.Duration
		if *d.Timeout != "" {
			var err error
			if t, err = time.ParseDuration(*d.Timeout); err != nil || t < 0 {
				return c, &Error{Message: "--timeout takes a duration such as 90s or 5m, not " + strconv.Quote(*d.Timeout), Exit: 2}
			}
		}
		c.Timeout = &t
	}
	return c, nil
}
