package web

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEverythingIsClosedWithoutTheCookie(t *testing.T) {
	h := newHouse(t, &work{name: "backup"})
	h.furnish()
	h.run("backup")
	wrong := &http.Cookie{Name: "muster", Value: "x"}
	if _, port, ok := strings.Cut(h.server.Listener.Addr().String(), ":"); ok {
		wrong.Name += "-" + port
	}
	for _, target := range append(h.addresses(), "/", "/nothing", "/v1/nothing", "/v1/config/core-1/raw", "/devices/nobody") {
		for name, change := range map[string]func(*http.Request){
			"without a cookie":      func(*http.Request) {},
			"with a cookie made up": func(r *http.Request) { r.AddCookie(wrong) },
			"with an empty cookie":  func(r *http.Request) { r.AddCookie(&http.Cookie{Name: wrong.Name}) },
		} {
			a := h.ask("GET", target, change)
			if a.code != http.StatusUnauthorized || !strings.Contains(a.body, "This page is closed") {
				t.Errorf("GET %s %s: %d", target, name, a.code)
			}
			for _, told := range []string{"core-1", "v9.9.9", "192.0.2", "Overview", "app.js"} {
				if strings.Contains(a.body, told) {
					t.Errorf("GET %s %s tells %q", target, name, told)
				}
			}
		}
	}
	// A link to one listener is none to another: each has a gate of its own.
	other := newHouse(t)
	if other.enter(h.link()) != nil {
		t.Error("another gate's link opened this one")
	}
}

func TestOtherHostNamesAreRefused(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	listen := h.server.Listener.Addr().String()
	_, port, _ := strings.Cut(listen, ":")
	tests := map[string]struct {
		host string
		good bool
	}{
		"the address":                   {listen, true},
		"localhost":                     {"localhost:" + port, true},
		"the other loopback":            {"[::1]:" + port, true},
		"a name that was bound to us":   {"rebound.example:" + port, false},
		"the same without its port":     {"rebound.example", false},
		"our address, another port":     {"127.0.0.1:1", false},
		"our address, no port":          {"127.0.0.1", false},
		"another address":               {"192.0.2.1:" + port, false},
		"a name that begins like ours":  {"localhost.example:" + port, false},
		"a name that begins as address": {"127.0.0.1.example:" + port, false},
		"user and password before it":   {"localhost@rebound.example:" + port, false},
	}
	cookie := h.enter(h.link())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			change := func(r *http.Request) { r.Host = tt.host; r.AddCookie(cookie) }
			for _, target := range []string{"/", "/v1/devices", "/assets/app.css", "/devices/core-1"} {
				a := h.ask("GET", target, change)
				if (a.code == http.StatusOK) != tt.good {
					t.Errorf("GET %s as %q: %d", target, tt.host, a.code)
				}
				if !tt.good && (a.code != http.StatusMisdirectedRequest || strings.Contains(a.body, "core-1")) {
					t.Errorf("GET %s as %q: %d %.80s, want 421 and no more", target, tt.host, a.code, a.body)
				}
			}
			// Such a request does not use a link up, either.
			link := h.link()
			if a := h.ask("GET", link, func(r *http.Request) { r.Host = tt.host }); (a.code == http.StatusSeeOther) != tt.good {
				t.Errorf("the link as %q: %d", tt.host, a.code)
			}
			if !tt.good && h.enter(link) == nil {
				t.Error("a refused request used the link up")
			}
		})
	}
}

func TestLinkWorksOnce(t *testing.T) {
	h := newHouse(t)
	link := h.link()
	cookie := h.enter(link)
	if cookie == nil {
		t.Fatal("the link gave no cookie")
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.MaxAge <= 0 || strings.Contains(link, cookie.Value) {
		t.Errorf("cookie %+v", cookie)
	}
	if a := h.ask("GET", "/", func(r *http.Request) { r.AddCookie(cookie) }); a.code != http.StatusOK {
		t.Errorf("with its cookie the overview is %d", a.code)
	}
	a := h.ask("GET", link)
	if a.code != http.StatusForbidden || a.header.Get("Set-Cookie") != "" || !strings.Contains(a.body, "muster serve --link") {
		t.Errorf("the second time the link gave %d %q", a.code, a.header.Get("Set-Cookie"))
	}
	if a := h.ask("GET", link, func(r *http.Request) { r.AddCookie(cookie) }); a.code != http.StatusSeeOther || a.header.Get("Set-Cookie") != "" {
		t.Errorf("who is in already should just go on: %d", a.code)
	}
	for _, made := range []string{"/open", "/open?k=", "/open?k=x"} {
		if a := h.ask("GET", made); a.code != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
			t.Errorf("GET %s: %d", made, a.code)
		}
	}
}

// Browsers and chat programs fetch what a link points to ahead of a click.
func TestLookingAheadDoesNotUseTheLinkUp(t *testing.T) {
	h := newHouse(t)
	tests := map[string]struct {
		method, header, value string
	}{
		"HEAD":              {"HEAD", "", ""},
		"prefetch":          {"GET", "Sec-Purpose", "prefetch"},
		"prerender":         {"GET", "Sec-Purpose", "prefetch;prerender"},
		"older browsers":    {"GET", "Purpose", "prefetch"},
		"still older ones":  {"GET", "X-Moz", "prefetch"},
		"preview by a POST": {"POST", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			link := h.link()
			a := h.ask(tt.method, link, func(r *http.Request) {
				if tt.header != "" {
					r.Header.Set(tt.header, tt.value)
				}
			})
			if a.code < 400 || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%d, cookie %q", a.code, a.header.Get("Set-Cookie"))
			}
			if h.enter(link) == nil {
				t.Error("the link was used up")
			}
		})
	}
}

func TestLinkAndCookieExpire(t *testing.T) {
	h := newHouse(t)
	old := h.link()
	h.clock.pass(linkLife + time.Second)
	if h.enter(old) != nil {
		t.Error("a link that is too old opened")
	}
	cookie := h.enter(h.link())
	in := func(r *http.Request) { r.AddCookie(cookie) }
	h.clock.pass(cookieLife - time.Second)
	if a := h.ask("GET", "/", in); a.code != http.StatusOK {
		t.Errorf("a cookie within its life: %d", a.code)
	}
	h.clock.pass(2 * time.Second)
	if a := h.ask("GET", "/", in); a.code != http.StatusUnauthorized {
		t.Errorf("a cookie that is too old: %d", a.code)
	}
	_ = h.link() // making one forgets what is over
	if n := len(h.gate.cookies) + len(h.gate.links); n != 1 {
		t.Errorf("the gate remembers %d things, want the new link only", n)
	}
}
