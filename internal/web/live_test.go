package web

import (
	"bufio"
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"muster/internal/alert"
)

// listen opens the live stream and returns its events.
func (h *house) listen(ctx context.Context) <-chan string {
	h.t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", h.server.URL+"/live", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.in(r)
	resp, err := h.client.Do(r) //nolint:bodyclose // the reader below closes it
	if err != nil {
		h.t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || ct != "text/event-stream" {
		h.t.Fatalf("the stream is %d, %s", resp.StatusCode, ct)
	}
	events := make(chan string, 100)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if mark, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- mark
			}
		}
	}()
	return events
}

// next waits for the next mark.
func next(t *testing.T, events <-chan string) string {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok || e == "" {
			t.Fatal("the stream ended, or said nothing")
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("the stream says nothing")
	}
	return ""
}

// markOf is the mark that a page was made at.
func markOf(t *testing.T, a answer) string {
	t.Helper()
	_, m, ok := strings.Cut(a.body, `data-mark="`)
	m, _, _ = strings.Cut(m, `"`)
	if !ok || m == "" {
		t.Fatalf("the page has no mark: %.200s", a.body)
	}
	return m
}

func TestStreamTellsThatAPageIsOld(t *testing.T) {
	h := newHouse(t)
	before := markOf(t, h.page("/"))
	// What happens between the page and its stream is not missed.
	h.alerts.add(alert.Alert{ID: 1, Kind: alert.Unreachable, State: alert.Firing, Devices: []string{"core-1"}})
	ctx, cancel := context.WithCancel(t.Context())
	events := h.listen(ctx)
	first := next(t, events)
	if first == before {
		t.Error("the stream begins with the mark of the old page")
	}
	if now := markOf(t, h.page("/alerts")); now != first {
		t.Errorf("the fresh page has mark %s, the stream says %s", now, first)
	}
	if again := next(t, events); again != first {
		t.Errorf("the heartbeat says %s, though nothing happened since %s", again, first)
	}
	h.alerts.add(alert.Alert{ID: 2, Kind: alert.Unsaved, State: alert.Firing})
	for next(t, events) == first {
	}
	cancel()
	for range events { // it ends with its reader; goleak sees whether the handler does
	}
}

// A device's text cannot reach the stream: it carries a mark and nothing else.
func TestStreamCarriesNoText(t *testing.T) {
	h := newHouse(t)
	h.furnish()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", h.server.URL+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.in(r)
	resp, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	read := func() string {
		s, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	h.alerts.add(alert.Alert{ID: 9, Kind: alert.Unreachable, State: alert.Firing, Message: "core-1\n\nevent: forged\n"})
	line := regexp.MustCompile(`^(event: mark|data: [0-9a-z]+|)\n$`)
	for range 12 {
		if l := read(); !line.MatchString(l) {
			t.Fatalf("the stream says %q", l)
		}
	}
}

func TestHeadOfTheStreamEnds(t *testing.T) {
	h := newHouse(t)
	if a := h.ask("HEAD", "/live", h.in); a.code != http.StatusOK || a.body != "" {
		t.Errorf("HEAD /live: %d %q", a.code, a.body)
	}
}

// A server that stops ends its streams, or it could not stop.
func TestStreamEndsWithTheServer(t *testing.T) {
	h := newHouse(t)
	events := h.listen(t.Context())
	next(t, events)
	h.server.CloseClientConnections()
	for range events {
	}
}
