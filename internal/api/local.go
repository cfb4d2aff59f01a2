package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

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

// Local is the whole API, for the Unix socket of the data directory. It must
// never be served over TCP.
func (s *Server) Local() http.Handler {
	r := newRouter()
	s.reading(r)
	s.acting(r)
	return r
}

// Public is the API as a TCP listener may have it: reading and redacted.
func (s *Server) Public() http.Handler {
	r := newRouter()
	s.reading(r)
	return r
}

// Patterns lists the routes of [Server.Public], and those that [Server.Local] has
// besides. Tests hold the client, and every listener, against them.
func (s *Server) Patterns() (public, local []string) {
	p, l := newRouter(), newRouter()
	s.reading(p)
	s.acting(l)
	return p.patterns, l.patterns
}

// router is a mux that can tell its patterns.
type router struct {
	*http.ServeMux
	patterns []string
}

func newRouter() *router { return &router{ServeMux: http.NewServeMux()} }

func (r *router) HandleFunc(pattern string, f http.HandlerFunc) {
	r.patterns = append(r.patterns, pattern)
	r.ServeMux.HandleFunc(pattern, f)
}

// acting routes what acts, and what shows more than redacted text.
func (s *Server) acting(mux *router) {
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
	mux.HandleFunc("POST /v1/import", answer(func(r *http.Request) (any, error) {
		var i Import
		if err := body(r, &i); err != nil {
			return nil, err
		}
		return s.devices.Import(r.Context(), i.File, inventory.ImportOptions{Apply: i.Apply, Format: inventory.ImportFormat(i.Format), Columns: i.Columns,
			Credential: i.Credential, Site: i.Site}, by)
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
	mux.HandleFunc("POST /v1/allow", answer(func(r *http.Request) (any, error) {
		var a Allow
		if err := body(r, &a); err != nil {
			return nil, err
		}
		f, err := s.filter(r.Context(), a.Filter...)
		if err != nil {
			return nil, err
		}
		out, err := s.devices.Allow(r.Context(), f, inventory.AllowOptions{Apply: a.Apply, Keys: a.Keys}, by)
		return full(out), err
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
	// It stores nothing, but asks agents with our communities: not for every listener.
	mux.HandleFunc("GET /v1/explain", answer(func(r *http.Request) (any, error) {
		steps, err := s.house.Explain(r.Context(), r.FormValue("address"))
		return full(steps), err
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
		return s.decide(r.Context(), r.PathValue("name"), r.PathValue("verb"), Meant{Version: count(r, "version"), Capture: r.FormValue("capture")})
	}))
	mux.HandleFunc("POST /v1/decisions/{verb}", answer(func(r *http.Request) (any, error) {
		return s.decideMany(r.Context(), r.PathValue("verb"), r.FormValue("q"), r.FormValue("group"))
	}))
	mux.HandleFunc("POST /v1/alerts/{id}/ack", answer(func(r *http.Request) (any, error) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return nil, &Error{Message: "an alert is named by its number; muster alert list shows them", Exit: 2}
		}
		_, err = s.alerts.Ack(r.Context(), id, cmp.Or(r.FormValue("by"), by), r.FormValue("note"))
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
		name := r.PathValue("name")
		if err := s.house.SetSecret(r.Context(), name, secret.New(v.Value), by); err != nil {
			return nil, err
		}
		return s.house.SecretUse(name), nil
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
		var said func(command, answer string)
		if r.URL.Query().Has("record") {
			said = func(command, answer string) { st.send(Line{Said: &Said{Command: command, Answer: answer}}) }
		}
		st.end(s.house.Doctor(r.Context(), d, func(t collector.StepTime) { st.send(Line{Step: &t}) }, said))
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
}

// reading routes what only reads and is redacted: the pages' half of the API.
func (s *Server) reading(mux *router) {
	mux.HandleFunc("GET /v1/status", answer(func(r *http.Request) (any, error) { return s.Status(r.Context()) }))
	mux.HandleFunc("GET /v1/devices", answer(func(r *http.Request) (any, error) { return s.named(r.Context(), r.FormValue("q")) }))
	mux.HandleFunc("GET /v1/devices/{name}", answer(func(r *http.Request) (any, error) { return s.Device(r.Context(), r.PathValue("name")) }))
	mux.HandleFunc("GET /v1/config/{name}/text", func(w http.ResponseWriter, r *http.Request) {
		text, err := s.Text(r.Context(), r.PathValue("name"), which(r))
		plain(w, text, err)
	})
	mux.HandleFunc("GET /v1/config/{name}/quarantined", answer(func(r *http.Request) (any, error) { return s.Quarantined(r.Context(), r.PathValue("name")) }))
	mux.HandleFunc("GET /v1/config/{name}/log", answer(func(r *http.Request) (any, error) { return s.Versions(r.Context(), r.PathValue("name")) }))
	mux.HandleFunc("GET /v1/config/{name}/diff", func(w http.ResponseWriter, r *http.Request) {
		b := &late{w: w}
		switch err := s.Diff(r.Context(), b, r.PathValue("name"), count(r, "a"), count(r, "b"), r.FormValue("against")); {
		case err == nil:
		case b.begun:
			panic(http.ErrAbortHandler) // half a diff must not look like a whole one: the connection is cut
		default:
			refuse(w, err)
		}
	})
	mux.HandleFunc("GET /v1/grep", func(w http.ResponseWriter, r *http.Request) {
		devs, err := s.chosen(r.Context(), r.FormValue("q"))
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
		devs, err := s.chosen(r.Context(), r.FormValue("q"))
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
	mux.HandleFunc("GET /v1/runs", answer(func(r *http.Request) (any, error) { return s.Runs(r.Context(), max(0, count(r, "limit"))) }))
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

func (s *Server) one(ctx context.Context, d inventory.Device) (Device, error) {
	rows, err := s.rows(ctx, []inventory.Device{d})
	if err != nil {
		return Device{}, err
	}
	return rows[0], nil
}

func (s *Server) acceptKeys(ctx context.Context, a AcceptKeys) ([]inventory.Accepted, error) {
	f, err := s.filter(ctx, a.Filter...)
	if err != nil {
		return nil, err
	}
	var out []inventory.Accepted
	if a.KnownHosts != "" {
		out, err = s.devices.AcceptKnownHosts(ctx, f, strings.NewReader(a.KnownHosts), by)
	} else {
		out, err = s.devices.AcceptKey(ctx, f, by)
	}
	return full(out), err
}

func (s *Server) decide(ctx context.Context, name, verb string, m Meant) (Decided, error) {
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return Decided{}, err
	}
	out := Decided{Device: d.Name}
	switch verb {
	case "approve":
		var version int
		version, err = s.configs.Approve(ctx, d.ID, by)
		out = approved(d.Name, version)
	case "accept":
		var held backup.Held
		out.Version, held, err = s.configs.Accept(ctx, d.ID, m.Capture, by)
		out.Capture, out.Note = held.ID, fmt.Sprintf("the quarantined capture %s is version %d now", held, out.Version)
	case "discard":
		var held backup.Held
		held, err = s.configs.Discard(ctx, d.ID, m.Capture, by)
		out.Capture, out.Note = held.ID, fmt.Sprintf("the quarantined capture %s is discarded; next: muster backup %s", held, d.Name)
	case "baseline":
		out.Version, err = s.configs.Pin(ctx, d.ID, m.Version, by)
		out.Note = fmt.Sprintf("version %d is the baseline", out.Version)
	case "unpin":
		err = s.configs.Unpin(ctx, d.ID, by)
		out.Note = "there is no baseline any more"
	case "purge":
		err = s.configs.Purge(ctx, d.ID, m.Version, by)
		out.Note = fmt.Sprintf("version %d and its bytes are gone from the data directory; copies and exports made before are yours to remove", m.Version)
	default:
		err = &Error{Message: "there is no decision " + collector.Escape(verb), Exit: 2}
	}
	return out, err
}

// decideMany approves, accepts or discards what waits on the devices that a filter
// fits, or whose configuration changed as the group says. Devices on which nothing
// waits are left out: a newer capture that changed otherwise is in no group that
// somebody saw, and one that comes in between is not approved with it. What failed
// is in the note of its device.
func (s *Server) decideMany(ctx context.Context, verb, filter, group string) ([]Decided, error) {
	if strings.TrimSpace(filter) == "" && group == "" {
		return nil, &Error{Message: "name devices, filter words or a group; muster drift shows the groups", Exit: 2}
	}
	waits := map[string]bool{}    // by name
	change := map[string]string{} // of what is to be approved, its group
	switch verb {
	case "approve":
		drifts, err := s.Drift(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, d := range drifts {
			if d.Kind == backup.DriftChanged && (group == "" || d.Group == group) {
				waits[d.Device], change[d.Device] = true, d.Group
			}
		}
	case "accept", "discard":
		if group != "" {
			return nil, &Error{Message: "a group is of changes, and what is in quarantine is no version yet: name devices or filter words", Exit: 2}
		}
		devs, err := s.chosen(ctx, filter)
		if err != nil {
			return nil, err
		}
		rows, err := s.rows(ctx, devs)
		if err != nil {
			return nil, err
		}
		for _, d := range rows {
			waits[d.Name] = d.BackupState == backup.QuarantineHeld
		}
	default:
		return nil, &Error{Message: "only approve, accept and discard decide about many devices, not " + collector.Escape(verb), Exit: 2}
	}
	out := []Decided{}
	for _, name := range slices.Sorted(maps.Keys(waits)) {
		if !waits[name] {
			continue
		}
		d, err := s.decideOne(ctx, name, verb, change[name])
		if err != nil {
			d = Decided{Device: name, Note: err.Error(), Failed: true}
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, &Error{Message: "nothing waits there: no device of these has a change to approve, or a capture in quarantine", Exit: 1}
	}
	return out, nil
}

// decideOne is decide for one of many; change is the group of what is to be approved.
func (s *Server) decideOne(ctx context.Context, name, verb, change string) (Decided, error) {
	if verb != "approve" {
		return s.decide(ctx, name, verb, Meant{})
	}
	d, err := s.devices.Show(ctx, name)
	if err != nil {
		return Decided{}, err
	}
	version, err := s.configs.ApproveChange(ctx, d.ID, change, by)
	return approved(d.Name, version), err
}

func approved(device string, version int) Decided {
	return Decided{Device: device, Version: version, Note: fmt.Sprintf("version %d is approved", version)}
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
