package web

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// livePace is the least time between two words on the stream; a run's tasks
	// change faster than anybody reads.
	livePace = time.Second
	// heartbeat tells the browser that the stream is alive; after three that did
	// not come app.js says "not live".
	heartbeat = 5 * time.Second
)

// live tells a browser that something changed; it then asks for its page again,
// so that what may be shown is decided in one place.
func (w *site) live(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	flush := http.NewResponseController(rw)
	word := func(format string, a ...any) bool {
		if _, err := fmt.Fprintf(rw, format, a...); err != nil {
			return false
		}
		return flush.Flush() == nil
	}
	if !word("retry: 2000\n\n") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	pace := time.NewTicker(livePace)
	defer pace.Stop()
	seen := ""
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			if !word("event: alive\ndata:\n\n") {
				return
			}
		case <-pace.C:
			now, err := w.api.Mark(r.Context())
			if err != nil {
				return
			}
			if seen != "" && now != seen && !word("event: changed\ndata: %s\n\n", now) {
				return
			}
			seen = now
		}
	}
}
