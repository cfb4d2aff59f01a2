// Package web is muster's pages: server-rendered, redacted and read-only. They
// ask internal/api's Server, so that they cannot disagree with the command.
//
// The pages listen on loopback. They are opened by a one-time link that `serve`
// prints (see [Gate]), then by a cookie; a request whose Host header is not the
// listener's own is refused, so that no other site's name can reach them.
package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/api"
	"muster/internal/schedule"
	"muster/inventory"
)

//go:embed pages/*.html
var pages embed.FS

//go:embed assets
var assets embed.FS

// csp lets a page load its own files and nothing else.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Options tunes the pages.
type Options struct {
	Gate    *Gate
	Listen  string           // address that is listened on; what the Host header must be
	Version string           // of muster, for the foot
	Now     func() time.Time // nil: time.Now
}

type site struct {
	api  *api.Server
	o    Options
	tmpl map[string]*template.Template // by page
	pace time.Duration                 // of the live stream, see livePace
}

// New makes the handler of pages and of the public half of the API.
func New(s *api.Server, o Options) (http.Handler, error) {
	w, err := newSite(s, o)
	if err != nil {
		return nil, err
	}
	return w.handler()
}

// newSite reads the templates.
func newSite(s *api.Server, o Options) (*site, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &site{api: s, o: o, tmpl: map[string]*template.Template{}, pace: livePace}
	names, err := fs.Glob(pages, "pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		page := strings.TrimSuffix(strings.TrimPrefix(n, "pages/"), ".html")
		if page == "layout" {
			continue
		}
		t, err := template.New("layout.html").Funcs(w.funcs()).ParseFS(pages, "pages/layout.html", n)
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", page, err)
		}
		w.tmpl[page] = t
	}
	return w, nil
}

// handler routes pages, assets and the public half of the API, behind the guard.
func (w *site) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	for _, r := range w.routes() {
		mux.HandleFunc("GET "+r.pattern, r.handle)
	}
	nothing := w.page(func(*http.Request) (string, view, error) { return "", view{}, errNoPage })
	mux.HandleFunc("GET /", nothing)
	static, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	files := http.StripPrefix("/assets/", http.FileServerFS(static))
	mux.HandleFunc("GET /assets/{file}", func(rw http.ResponseWriter, r *http.Request) { // a file, never the folder
		if _, err := fs.Stat(static, r.PathValue("file")); err != nil {
			http.Error(rw, "There is no such file.", http.StatusNotFound)
			return
		}
		files.ServeHTTP(rw, r)
	})
	mux.Handle("GET /v1/", w.api.Public())
	return w.guard(mux), nil
}

type route struct {
	pattern string
	handle  http.HandlerFunc
}

// routes lists all pages; a test walks them.
func (w *site) routes() []route {
	return []route{
		{"/{$}", w.page(w.overview)},
		{"/devices", w.page(w.devices)},
		{"/devices/{name}", w.page(w.device)},
		{"/devices/{name}/config/{version}", w.page(w.config)},
		{"/diff/{name}/{a}/{b}", w.page(w.diff)},
		{"/drift", w.page(w.drift)},
		{"/alerts", w.page(w.alerts)},
		{"/runs", w.page(w.runs)},
		{"/runs/{id}", w.page(w.run)},
		{"/live", w.live},
	}
}

// guard stands before everything: name of the host, headers, the gate.
func (w *site) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !w.ours(r.Host) {
			http.Error(rw, "muster answers to "+w.o.Listen+" only; open that address.", http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(rw, "The pages are read-only; use the muster command.", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path == openPath {
			if refused := w.o.Gate.open(rw, r); refused != "" {
				w.render(rw, http.StatusForbidden, "closed", view{Title: "Closed", Closed: true, Data: refused})
			}
			return
		}
		if strings.HasPrefix(r.URL.Path, "/assets/") { // no secrets there, and the closed page wants its looks
			next.ServeHTTP(rw, r)
			return
		}
		if !w.o.Gate.knows(r) {
			w.render(rw, http.StatusUnauthorized, "closed", view{Title: "Closed", Closed: true,
				Data: "Open the one-time link that muster serve printed, or ask for another: muster serve --link"})
			return
		}
		next.ServeHTTP(rw, r)
	})
}

// ours reports whether a Host header names this listener: its address, or
// another name of loopback where it listens there.
func (w *site) ours(host string) bool {
	_, port, err := net.SplitHostPort(w.o.Listen)
	if err != nil {
		return false
	}
	if host == w.o.Listen {
		return true
	}
	name, hostPort, err := net.SplitHostPort(host)
	if err != nil {
		name, hostPort = host, "80"
	}
	listen, _, _ := net.SplitHostPort(w.o.Listen)
	ip := net.ParseIP(listen)
	loopback := name == "localhost" || name == "127.0.0.1" || name == "::1"
	return hostPort == port && loopback && (ip == nil && listen == "localhost" || ip != nil && ip.IsLoopback())
}

// view is what every page gets.
type view struct {
	Title  string
	Nav    string // which entry of the rail is the page's
	Status api.Status
	Urgent bool // an alert fires that nobody has taken, and that is no mere news
	Now    time.Time
	Mark   string // of the API, before anything of the page was read
	Muster string // version; not told to who is not let in
	Closed bool   // a page without rail and search, for who is not let in
	Data   any
}

// page makes a handler of a function that gathers a page's data.
func (w *site) page(f func(*http.Request) (name string, v view, err error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		mark, more := w.api.Mark(r.Context())
		name, v, err := f(r)
		v.Mark = mark
		if err == nil {
			err = more
		}
		if v.Status, more = w.api.Status(r.Context()); err == nil {
			err = more
		}
		if more == nil && v.Status.Alerts > 0 {
			var firing []alert.Alert
			if firing, more = w.api.Alerts(r.Context(), false); err == nil {
				err = more
			}
			v.Urgent = slices.ContainsFunc(firing, urgent)
		}
		code := http.StatusOK
		if err != nil {
			code = codeOf(err)
			name, v.Title, v.Data = "wrong", "Not shown", err.Error()
		}
		w.render(rw, code, name, v)
	}
}

// codeOf is the status of a page that cannot be shown.
func codeOf(err error) int {
	var refused *api.Error
	switch {
	case errors.Is(err, inventory.ErrNoDevice), errors.Is(err, schedule.ErrNoRun), errors.Is(err, errNoPage), errors.Is(err, backup.ErrNotStored), errors.Is(err, backup.ErrNothingWaits):
		return http.StatusNotFound
	case errors.As(err, &refused) && refused.Exit == 2:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func (w *site) render(rw http.ResponseWriter, code int, name string, v view) {
	v.Now = w.o.Now()
	if !v.Closed {
		v.Muster = w.o.Version
	}
	var b bytes.Buffer
	if err := w.tmpl[name].Execute(&b, v); err != nil {
		http.Error(rw, "This page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.WriteHeader(code)
	_, _ = b.WriteTo(rw)
}
