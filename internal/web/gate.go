package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	openPath = "/open"
	// linkLife is how long a one-time link waits to be opened.
	linkLife = 24 * time.Hour
	// cookieLife is how long a browser stays known.
	cookieLife = 30 * 24 * time.Hour
)

// Gate lets browsers in: a link that works once gives a cookie. Both are random
// and kept as digests in memory only, so a restart closes all sessions.
type Gate struct {
	now func() time.Time

	mu      sync.Mutex                      // guards what follows
	links   map[[sha256.Size]byte]time.Time // until when a link may be opened
	cookies map[[sha256.Size]byte]time.Time
}

// NewGate makes a Gate that nobody has come through.
func NewGate(now func() time.Time) *Gate {
	return &Gate{now: now, links: map[[sha256.Size]byte]time.Time{}, cookies: map[[sha256.Size]byte]time.Time{}}
}

// Link makes a link for one browser, at the listener's base ("http://HOST:PORT").
func (g *Gate) Link(base string) string {
	token, digest := random()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget()
	g.links[digest] = g.now().Add(linkLife)
	return base + openPath + "?k=" + token
}

// open exchanges a link for a cookie; where it does not it says why, and the
// caller writes the answer.
func (g *Gate) open(rw http.ResponseWriter, r *http.Request) (refused string) {
	// Browsers, and chat programs that a link was pasted into, fetch pages ahead
	// of a click; that must not use the link up.
	if r.Method != http.MethodGet || r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") != "" || r.Header.Get("X-Moz") != "" {
		return "Open this link by hand; it works once."
	}
	digest := sha256.Sum256([]byte(r.URL.Query().Get("k")))
	g.mu.Lock()
	until, ok := g.links[digest]
	delete(g.links, digest)
	g.mu.Unlock()
	if !ok || g.now().After(until) {
		if g.knows(r) { // who is in already just goes on: a reload, or the way back
			http.Redirect(rw, r, "/", http.StatusSeeOther)
			return ""
		}
		return "This link has been used or is too old. Ask for another: muster serve --link"
	}
	token, digest := random()
	g.mu.Lock()
	g.forget()
	g.cookies[digest] = g.now().Add(cookieLife)
	g.mu.Unlock()
	// Lax, not Strict: a page whose address was pasted into a ticket opens from
	// there. Nothing here acts, so being led to a page does no harm.
	http.SetCookie(rw, &http.Cookie{
		Name: cookieName(r), Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil, MaxAge: int(cookieLife / time.Second),
	})
	http.Redirect(rw, r, "/", http.StatusSeeOther)
	return ""
}

// cookieName is the cookie's name at a listener. Browsers send cookies to every
// port of a host, so the port is in it: a demo must not close another's pages.
func cookieName(r *http.Request) string {
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return "muster-" + port
	}
	return "muster"
}

// forget drops what is too old to be used. The caller holds mu.
func (g *Gate) forget() {
	now := g.now()
	for _, m := range []map[[sha256.Size]byte]time.Time{g.links, g.cookies} {
		maps.DeleteFunc(m, func(_ [sha256.Size]byte, until time.Time) bool { return now.After(until) })
	}
}

// knows reports whether a request comes from a browser that was let in.
func (g *Gate) knows(r *http.Request) bool {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(c.Value))
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.cookies[digest]
	return ok && !g.now().After(until)
}

// random makes a token of 256 bits and its digest.
func random() (token string, digest [sha256.Size]byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	token = base64.RawURLEncoding.EncodeToString(b[:])
	return token, sha256.Sum256([]byte(token))
}
