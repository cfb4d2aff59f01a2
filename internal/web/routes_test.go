package web

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestOnlyReadingMethodsAreServed(t *testing.T) {
	h := newHouse(t, &work{name: "backup"})
	h.furnish()
	h.run("backup")
	for _, target := range append(h.addresses(), "/assets/app.js", "/open", "/nothing") {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "MOVE"} {
			if method == "CONNECT" {
				continue // is for proxies: net/http's client does not send it to a path
			}
			a := h.ask(method, target, h.in)
			if a.code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, target, a.code)
			}
		}
	}
}

// Whatever acts, and whatever shows more than redacted text, is on the socket
// alone: each route that Local has besides is looked for here in vain.
func TestNothingThatActsIsServed(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	public, local := h.api.Patterns()
	if len(public) < 10 || len(local) < 20 {
		t.Fatalf("there are %d public and %d local routes: is the walk broken?", len(public), len(local))
	}
	shared := map[string]bool{}
	for _, p := range public {
		method, path, _ := strings.Cut(p, " ")
		shared[path] = true
		if method != http.MethodGet {
			t.Errorf("%s is public and does not only read", p)
		}
	}
	fill := strings.NewReplacer("{name}", "core-1", "{id}", "1", "{verb}", "approve")
	raw := false
	for _, p := range local {
		method, path, _ := strings.Cut(p, " ")
		raw = raw || strings.HasSuffix(path, "/raw")
		if a := h.ask(method, fill.Replace(path), h.in); a.code != http.StatusNotFound && a.code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d %.100s", p, a.code, a.body)
		}
		if shared[path] {
			continue
		}
		if a := h.ask("GET", fill.Replace(path), h.in); a.code != http.StatusNotFound && a.code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d %.100s", path, a.code, a.body)
		}
	}
	if !raw {
		t.Error("no local route gives raw text: is the walk broken?")
	}
	for _, p := range public {
		if strings.Contains(p, "raw") || strings.Contains(p, "secret") || strings.Contains(p, "link") {
			t.Errorf("%s is public", p)
		}
	}
}

func TestPublicRoutesAnswerWhoIsIn(t *testing.T) {
	h := newHouse(t, &work{name: "backup"})
	h.furnish()
	h.run("backup")
	for _, target := range h.addresses() {
		switch {
		case target == "/live":
			continue // see live_test.go
		case strings.HasPrefix(target, "/v1/platforms/"):
			target = "/v1/platforms/frr"
		}
		if a := h.page(target); a.code != http.StatusOK {
			t.Errorf("GET %s: %d %.120s", target, a.code, a.body)
		}
	}
}

func TestHeadersAreOnEveryAnswer(t *testing.T) {
	h := newHouse(t, &work{name: "backup"})
	h.furnish()
	h.run("backup")
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	}
	answers := map[string]answer{
		"closed": h.ask("GET", "/"), "wrong host": h.ask("GET", "/", func(r *http.Request) { r.Host = "x.example" }), "wrong method": h.ask("POST", "/"),
		"a link": h.ask("GET", h.link()), "a used link": h.ask("GET", "/open?k=x"), "an asset": h.page("/assets/app.css"), "no asset": h.page("/assets/none"),
		"no page": h.page("/nothing"), "no device": h.page("/devices/nobody"), "no route of the API": h.page("/v1/nothing"), "no device of the API": h.page("/v1/devices/nobody"),
		"the folder of assets": h.page("/assets/"), "a path to be cleaned": h.page("//devices"),
	}
	for _, target := range append(h.pagesOfAll(), "/v1/devices", "/v1/config/core-1/text", "/v1/config/core-1/diff", "/v1/grep?pattern=x", "/v1/export") {
		answers[target] = h.page(target)
	}
	for name, a := range answers {
		for k, v := range want {
			if got := a.header.Get(k); got != v {
				t.Errorf("%s (%d): %s is %q", name, a.code, k, got)
			}
		}
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s lets other sites read it", name)
		}
	}
	if a := answers["the folder of assets"]; a.code != http.StatusNotFound || strings.Contains(a.body, `href="app.js"`) {
		t.Errorf("the folder of assets is listed: %d", a.code)
	}
}

// The policy allows neither, so a page that has one is broken.
func TestPagesHaveNoInlineStyleOrScript(t *testing.T) {
	h := newHouse(t, &work{name: "backup"})
	h.furnish()
	h.run("backup")
	inline := regexp.MustCompile(`(?i)<style|<script>|<script [^>]*>[^<]|\sstyle=|\son[a-z]+=|javascript:|<iframe|<object|<base|http-equiv`)
	for _, target := range append(h.pagesOfAll(), "/nothing") {
		a := h.page(target)
		if m := inline.FindString(a.body); m != "" {
			t.Errorf("%s holds %q", target, m)
		}
		if n := strings.Count(a.body, "<h1"); n != 1 {
			t.Errorf("%s has %d first headings", target, n)
		}
	}
}

func TestStatusOfWhatCannotBeShown(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	tests := map[string]struct {
		target string
		code   int
		say    string
	}{
		"no page":             {"/nothing", 404, "no such page"},
		"no device":           {"/devices/nobody", 404, "no such device"},
		"no version":          {"/devices/core-1/config/9", 404, "not stored"},
		"no number":           {"/devices/core-1/config/latest", 404, "no such page"},
		"version 0":           {"/devices/core-1/config/0", 404, "no such page"},
		"no diff":             {"/diff/core-1/v1/v9", 404, "not stored"},
		"no baseline":         {"/diff/core-1/baseline/running", 404, "no baseline"},
		"a diff of what?":     {"/diff/core-1/yesterday/today", 404, "no such page"},
		"a diff of no device": {"/diff/nobody/v1/v2", 404, "no such device"},
		"nothing waits":       {"/devices/core-1/config/quarantined", 404, "nothing is in quarantine"},
		"no run":              {"/runs/9", 404, "run"},
		"a run by name":       {"/runs/last", 404, "run"},
		"run 0":               {"/runs/0", 404, "run"},
	}
	delete(h.configs.texts, "quarantined")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := h.page(tt.target)
			if a.code != tt.code || !strings.Contains(a.body, tt.say) || !strings.Contains(a.body, "<h1>Not shown</h1>") {
				t.Errorf("GET %s: %d; want %d and %q in %s", tt.target, a.code, tt.code, tt.say, main(a.body))
			}
			if !strings.Contains(a.body, `Devices<span class="n">3</span>`) {
				t.Error("the rail has lost its counts")
			}
		})
	}
}

// main is what stands between <main> and </main>.
func main(body string) string {
	_, body, _ = strings.Cut(body, "<main")
	body, _, _ = strings.Cut(body, "</main>")
	return body
}
