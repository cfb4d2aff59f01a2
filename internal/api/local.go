package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"muster/backup"
	"muster/collector"
	"muster/internal/schedule"
	"muster/internal/secret"
	"muster/inventory"
)

// bodyLimit bounds what a caller may send, in bytes.
const bodyLimit = 8 << 20

// by is who acts: the socket's folder belongs to one account.
const by = "command"

// Local is the whole API, for the Unix socket of the data directory and for
// calls within the process. It must never be served over TCP.
func (s *Server) Local() http.Handler {
	mux := http.NewServeMux()
	s.reading(mux)

	mux.HandleFunc("GET /v1/hello", answer(func(r *http.Request) (any, error) { return s.house.Hello(), nil }))
	mux.HandleFunc("GET /v1/config/{name}/raw", func(w http.ResponseWriter, r *http.Request) {
		text, err := s.raw(r.Context(), r.PathValue("name"), which(r), by)
		plain(w, text, err)
	})

	mux.HandleFunc("POST /v1/devices", answer(func(r *http.Request) (any, error) {
		var a DeviceAdd
		if err := body(r, &a); err != nil {
			return nil, err
		}
		d, err := s.devices.Add(r.Context(), inventory.NewDevice{Address: a.Address, Name: a.Name, Platform: a.Platform, Credential: a.Credential, Site: a.Site}, by)
		if err != nil {
			return nil, err
		}
		return s.one(r.Context(), d)
	}))
	mux.HandleFunc("PATCH /v1/devices/{name}", answer(func(r *http.Request) (any, error) {
		var set DeviceSet
		if err := body(r, &set); err != nil {
			return nil, err
		}
		change, err := set.change()
		if err != nil {
			return nil, err
		}
		d, err := s.devices.Set(r.Context(), r.PathValue("name"), change, by)
		if err != nil {
			return nil, err
		}
		return s.one(r.Context(), d)
	}))
	act := func(pattern string, f func(ctx context.Context, key, by string) (inventory.Device, error)) {
		mux.HandleFunc(pattern, answer(func(r *http.Request) (any, error) {
			_, err := f(r.Context(), r.PathValue("name"), by)
			return struct{}{}, err
		}))
	}
	act("POST /v1/devices/{name}/retry", s.devices.Retry)
	act("POST /v1/devices/{name}/replace", s.devices.Replace)
	act("POST /v1/devices/{name}/retire", s.devices.Retire)
	act("DELETE /v1/devices/{name}", s.devices.Delete)
	mux.HandleFunc("POST /v1/devices/{name}/merge", answer(func(r *http.Request) (any, error) {
		_, err := s.devices.Merge(r.Context(), r.PathValue("name"), r.FormValue("other"), by)
		return struct{}{}, err
	}))
	mux.HandleFunc("POST /v1/accept-keys", answer(func(r *http.Request) (any, error) {
		var a AcceptKeys
		if err := body(r, &a); err != nil {
			return nil, err
		}
		return s.acceptKeys(r.Context(), a)
	}))

	mux.HandleFunc("POST /v1/discover", s.start("discovery", func(r RunRequest) schedule.Request {
		return schedule.Request{By: schedule.ByCommand, Scopes: r.Filter, Dry: r.DryRun}
	}))
	mux.HandleFunc("POST /v1/backup", s.start("backup", func(r RunRequest) schedule.Request {
		return schedule.Request{By: schedule.ByCommand, Devices: r.Filter}
	}))
	mux.HandleFunc("POST /v1/runs/{id}/stop", answer(func(r *http.Request) (any, error) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, schedule.ErrNoRun
		}
		return struct{}{}, s.runs.Stop(r.Context(), id)
	}))

	mux.HandleFunc("POST /v1/config/{name}/{verb}", answer(func(r *http.Request) (any, error) {
		return s.decide(r.Context(), r.PathValue("name"), r.PathValue("verb"), count(r, "version"))
	}))
	mux.HandleFunc("POST /v1/alerts/{id}/ack", answer(func(r *http.Request) (any, error) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, &Error{Message: "an alert is named by its number; muster alert list shows them", Exit: 2}
		}
		_, err = s.alerts.Ack(r.Context(), id, by, r.FormValue("note"))
		return struct{}{}, err
	}))
	mux.HandleFunc("POST /v1/receivers/{name}/test", answer(func(r *http.Request) (any, error) {
		return struct{}{}, s.alerts.Test(r.Context(), r.PathValue("name"))
	}))

	mux.HandleFunc("PUT /v1/secrets/{name}", answer(func(r *http.Request) (any, error) {
		var v SecretValue
		if err := body(r, &v); err != nil {
			return nil, err
		}
		return struct{}{}, s.house.SetSecret(r.Context(), r.PathValue("name"), secret.New(v.Value), by)
	}))
	mux.HandleFunc("GET /v1/secrets", answer(func(r *http.Request) (any, error) { return s.house.Secrets(r.Context()) }))
	mux.HandleFunc("POST /v1/secrets/{name}/retry", answer(func(r *http.Request) (any, error) {
		return struct{}{}, s.retrySecret(r.Context(), r.PathValue("name"))
	}))

	mux.HandleFunc("POST /v1/doctor/{name}", func(w http.ResponseWriter, r *http.Request) {
		d, err := s.devices.Show(r.Context(), r.PathValue("name"))
		if err != nil {
			refuse(w, err)
			return
		}
		st := lines(w)
		st.end(s.house.Doctor(r.Context(), d, func(t collector.StepTime) { st.send(Line{Step: &t}) }))
	})
	mux.HandleFunc("GET /v1/doctor", answer(func(r *http.Request) (any, error) { return full(s.house.Examine(r.Context())), nil }))
	mux.HandleFunc("POST /v1/verify", answer(func(r *http.Request) (any, error) { return s.house.Verify(r.Context()) }))
	mux.HandleFunc("POST /v1/self/backup", answer(func(r *http.Request) (any, error) {
		return struct{}{}, s.house.SelfBackup(r.Context(), r.FormValue("file"))
	}))
	mux.HandleFunc("POST /v1/link", answer(func(r *http.Request) (any, error) {
		link, err := s.house.OpenLink()
		return Line{Note: link}, err
	}))
	mux.HandleFunc("POST /v1/reload", answer(func(r *http.Request) (any, error) {
		note, err := s.house.Reload(r.Context())
		return Line{Note: note}, err
	}))
	return mux
}

// reading routes what only reads and is redacted: the pages' half of the API.
func (s *Server) reading(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/status", answer(func(r *http.Request) (any, error) { return s.Status(r.Context()) }))
	mux.HandleFunc("GET /v1/devices", answer(func(r *http.Request) (any, error) { return s.Devices(r.Context(), r.FormValue("q")) }))
	mux.HandleFunc("GET /v1/devices/{name}", answer(func(r *http.Request) (any, error) { return s.Device(r.Context(), r.PathValue("name")) }))
	mux.HandleFunc("GET /v1/config/{name}/text", func(w http.ResponseWriter, r *http.Request) {
		text, err := s.Text(r.Context(), r.PathValue("name"), which(r))
		plain(w, text, err)
	})
	mux.HandleFunc("GET /v1/config/{name}/log", answer(func(r *http.Request) (any, error) { return s.Versions(r.Context(), r.PathValue("name")) }))
	mux.HandleFunc("GET /v1/config/{name}/diff", func(w http.ResponseWriter, r *http.Request) {
		b := &late{w: w}
		err := s.Diff(r.Context(), b, r.PathValue("name"), count(r, "a"), count(r, "b"), r.FormValue("against"))
		if err != nil && !b.begun {
			refuse(w, err)
		}
	})
	mux.HandleFunc("GET /v1/grep", func(w http.ResponseWriter, r *http.Request) {
		devs, err := s.list(r.Context(), r.FormValue("q"))
		if err != nil {
			refuse(w, err)
			return
		}
		st := lines(w)
		st.end(s.configs.Grep(r.Context(), r.FormValue("pattern"), devs, func(h backup.Hit) error {
			st.send(Line{Hit: &Hit{Device: h.Device, Line: h.Line, Text: h.Text}})
			return st.err
		}))
	})
	mux.HandleFunc("GET /v1/export", func(w http.ResponseWriter, r *http.Request) {
		devs, err := s.list(r.Context(), r.FormValue("q"))
		if err != nil {
			refuse(w, err)
			return
		}
		st := lines(w)
		st.end(s.configs.Export(r.Context(), devs, func(f backup.File) error {
			st.send(Line{File: &File{Name: f.Name, Text: f.Text}})
			return st.err
		}))
	})
	mux.HandleFunc("GET /v1/drift", answer(func(r *http.Request) (any, error) { return s.Drift(r.Context(), r.FormValue("q")) }))
	mux.HandleFunc("GET /v1/alerts", answer(func(r *http.Request) (any, error) { return s.Alerts(r.Context(), r.FormValue("all") == "true") }))
	mux.HandleFunc("GET /v1/runs", answer(func(r *http.Request) (any, error) { return s.Runs(r.Context(), count(r, "limit")) }))
	mux.HandleFunc("GET /v1/runs/{id}", answer(func(r *http.Request) (any, error) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, schedule.ErrNoRun
		}
		return s.Run(r.Context(), id)
	}))
	mux.HandleFunc("GET /v1/platforms", answer(func(r *http.Request) (any, error) { return s.Platforms(r.Context()) }))
	mux.HandleFunc("GET /v1/platforms/{name}", answer(func(r *http.Request) (any, error) { return s.Platform(r.Context(), r.PathValue("name")) }))
}

// Public is the API as a TCP listener may have it: reading and redacted.
func (s *Server) Public() http.Handler {
	mux := http.NewServeMux()
	s.reading(mux)
	return mux
}

func (s *Server) one(ctx context.Context, d inventory.Device) (Device, error) {
	rows, err := s.rows(ctx, []inventory.Device{d})
	if err != nil {
		return Device{}, err
	}
	return rows[0], nil
}

func (s *Server) acceptKeys(ctx context.Context, a AcceptKeys) ([]inventory.Accepted, error) {
	f, err := inventory.ParseFilter(a.Filter...)
	if err != nil {
		return nil, &Error{Message: err.Error(), Exit: 2}
	}
	var out []inventory.Accepted
	if a.KnownHosts != "" {
		out, err = s.devices.AcceptKnownHosts(ctx, f, strings.NewReader(a.KnownHosts), by)
	} else {
		out, err = s.devices.AcceptKey(ctx, f, by)
	}
	return full(out), err
}

func (s *Server) decide(ctx context.Context, name, verb string, version int) (Decided, error) {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return Decided{}, err
	}
	out := Decided{Device: d.Name}
	switch verb {
	case "approve":
		out.Version, err = s.configs.Approve(ctx, d.ID, by)
		out.Note = fmt.Sprintf("version %d is approved", out.Version)
	case "accept":
		out.Version, err = s.configs.Accept(ctx, d.ID, by)
		out.Note = fmt.Sprintf("the quarantined capture is version %d now", out.Version)
	case "discard":
		err = s.configs.Discard(ctx, d.ID, by)
		out.Note = "the quarantined capture is discarded"
	case "baseline":
		out.Version, err = s.configs.Pin(ctx, d.ID, version, by)
		out.Note = fmt.Sprintf("version %d is the baseline", out.Version)
	case "unpin":
		err = s.configs.Unpin(ctx, d.ID, by)
		out.Note = "there is no baseline any more"
	default:
		err = &Error{Message: "there is no decision " + collector.Escape(verb), Exit: 2}
	}
	return out, err
}

// retrySecret releases a credential by its name, or all that use a secret.
func (s *Server) retrySecret(ctx context.Context, name string) error {
	names := s.house.Credentials(name)
	if len(names) == 0 {
		names = []string{name}
	}
	for _, n := range names {
		if err := s.devices.RetryCredential(ctx, n, by); err != nil {
			return err
		}
	}
	return nil
}

// start begins a run and streams it until it ends.
func (s *Server) start(job string, ask func(RunRequest) schedule.Request) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req RunRequest
		if err := body(r, &req); err != nil {
			refuse(w, err)
			return
		}
		run, err := s.runs.Start(r.Context(), job, ask(req))
		if err != nil {
			refuse(w, err)
			return
		}
		st := lines(w)
		st.end(s.follow(r.Context(), run.ID, st))
		// Whoever asked has gone: what he started ends with him, politely.
		if r.Context().Err() != nil {
			_ = s.runs.Stop(context.WithoutCancel(r.Context()), run.ID)
		}
	}
}

// follow sends a run's progress and results as lines.
func (s *Server) follow(ctx context.Context, id int64, st *stream) error {
	var last schedule.Run
	said := ""
	for item, err := range s.runs.Watch(ctx, id) {
		if err != nil {
			return err
		}
		if item.Run != nil {
			last = *item.Run
			st.send(Line{Progress: &Progress{Done: last.Done, Total: last.Total}})
			if last.Message != "" && last.Message != said {
				said = last.Message
				st.send(Line{Note: said})
			}
		}
		if item.Task != nil {
			switch t := *item.Task; item.Kind {
			case schedule.ItemStarted, schedule.ItemStep:
				st.send(Line{Progress: &Progress{Done: last.Done, Total: last.Total, Running: t.Subject + " " + t.Step}})
			case schedule.ItemFinished:
				l, err := result(last.Job, t)
				if err != nil {
					return err
				}
				st.send(l)
			}
		}
		if st.err != nil {
			return st.err
		}
	}
	st.send(Line{Run: &last})
	if last.State == schedule.Failed {
		return &Error{Message: "run " + strconv.FormatInt(id, 10) + " failed: " + last.Message, Exit: 1}
	}
	return nil
}

// result is the line of a task that ended, from the job's own JSON.
func result(job string, t schedule.Task) (Line, error) {
	var l Line
	var into any
	switch job {
	case "discovery":
		l.Found = new(inventory.Result)
		into = l.Found
	default:
		l.Backup = &backup.Result{Device: t.Subject, Outcome: backup.Outcome(t.Outcome), Step: collector.Step(t.Step), Kind: t.Kind, Message: t.Message, Seconds: float64(t.TookMs) / 1000}
		into = l.Backup
	}
	if len(t.Result) == 0 {
		return l, nil
	}
	return l, json.Unmarshal(t.Result, into)
}

// stream writes lines as they come.
type stream struct {
	w   http.ResponseWriter
	enc *json.Encoder
	err error // the reader has gone
}

func lines(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &stream{w: w, enc: e}
}

func (s *stream) send(l Line) {
	if s.err != nil {
		return
	}
	if s.err = s.enc.Encode(l); s.err == nil {
		if f, ok := s.w.(http.Flusher); ok {
			f.Flush()
		}
	}
}

// end says how the work as a whole ended.
func (s *stream) end(err error) {
	if err != nil {
		s.send(Line{Error: refusal(err)})
		return
	}
	s.send(Line{End: true})
}

// late writes the header of a good answer with the first byte of it.
type late struct {
	w     http.ResponseWriter
	begun bool
}

func (l *late) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		l.w.Header().Set("Cache-Control", "no-store")
	}
	return l.w.Write(p)
}

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
	case errors.Is(err, inventory.ErrNoDevice), errors.Is(err, schedule.ErrNoRun), errors.Is(err, backup.ErrNotStored):
		code = http.StatusNotFound
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
	return backup.Which{Version: count(r, "version"), Part: r.FormValue("part"), Quarantined: r.FormValue("quarantined") == "true"}
}

func count(r *http.Request, name string) int {
	n, err := strconv.Atoi(r.FormValue(name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// change reads what the strings of a DeviceSet mean.
func (d DeviceSet) change() (inventory.Change, error) {
	c := inventory.Change{Name: d.Name, Site: d.Site, Platform: d.Platform, Credential: d.Credential, Tags: d.Tags, Managed: d.Managed, Disabled: d.Disabled}
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
