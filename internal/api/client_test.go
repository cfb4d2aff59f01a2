package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"muster/backup"
	"muster/collector"
	"muster/inventory"
)

// Every route of the API has its method of the client, and every method reaches
// the route that is meant, also with names that hold what an address splits at.
func TestEveryRouteHasItsClientMethod(t *testing.T) {
	const odd = "a/b c?d%2F#é"
	ignore := func(Line) error { return nil }
	calls := map[string]func(context.Context, *Client) error{
		"GET /v1/hello":                  func(ctx context.Context, c *Client) error { _, err := c.Hello(ctx); return err },
		"GET /v1/status":                 func(ctx context.Context, c *Client) error { _, err := c.Status(ctx); return err },
		"GET /v1/devices":                func(ctx context.Context, c *Client) error { _, err := c.Devices(ctx, "site:x", "y"); return err },
		"GET /v1/devices/{name}":         func(ctx context.Context, c *Client) error { _, err := c.Device(ctx, odd); return err },
		"POST /v1/devices":               func(ctx context.Context, c *Client) error { _, err := c.AddDevice(ctx, DeviceAdd{}); return err },
		"POST /v1/import":                func(ctx context.Context, c *Client) error { _, err := c.Import(ctx, Import{}); return err },
		"PATCH /v1/devices/{name}":       func(ctx context.Context, c *Client) error { _, err := c.SetDevice(ctx, odd, DeviceSet{}); return err },
		"POST /v1/devices/{name}/retry":  func(ctx context.Context, c *Client) error { return c.RetryDevice(ctx, odd) },
		"POST /v1/devices/{name}/retire": func(ctx context.Context, c *Client) error { return c.RetireDevice(ctx, odd) },
		"POST /v1/devices/{name}/replace": func(ctx context.Context, c *Client) error {
			return c.ReplaceDevice(ctx, odd)
		},
		"POST /v1/devices/{name}/merge":     func(ctx context.Context, c *Client) error { return c.MergeDevice(ctx, odd, "other") },
		"DELETE /v1/devices/{name}":         func(ctx context.Context, c *Client) error { return c.DeleteDevice(ctx, odd) },
		"POST /v1/allow":                    func(ctx context.Context, c *Client) error { _, err := c.Allow(ctx, Allow{}); return err },
		"POST /v1/accept-keys":              func(ctx context.Context, c *Client) error { _, err := c.AcceptKeys(ctx, nil, nil); return err },
		"POST /v1/discover":                 func(ctx context.Context, c *Client) error { return c.Discover(ctx, RunRequest{}, ignore) },
		"GET /v1/explain":                   func(ctx context.Context, c *Client) error { _, err := c.Explain(ctx, "192.0.2.1"); return err },
		"POST /v1/backup":                   func(ctx context.Context, c *Client) error { return c.Backup(ctx, RunRequest{}, ignore) },
		"GET /v1/config/{name}/text":        func(ctx context.Context, c *Client) error { return drain(c.Text(ctx, odd, backup.Which{})) },
		"GET /v1/config/{name}/raw":         func(ctx context.Context, c *Client) error { return drain(c.Text(ctx, odd, backup.Which{Raw: true})) },
		"GET /v1/config/{name}/quarantined": func(ctx context.Context, c *Client) error { _, err := c.Quarantined(ctx, odd); return err },
		"GET /v1/config/{name}/log":         func(ctx context.Context, c *Client) error { _, err := c.Versions(ctx, odd); return err },
		"GET /v1/config/{name}/diff":        func(ctx context.Context, c *Client) error { return drain(c.Diff(ctx, odd, 1, 2, "")) },
		"POST /v1/config/{name}/{verb}": func(ctx context.Context, c *Client) error {
			_, err := c.Decide(ctx, odd, "approve", Meant{})
			return err
		},
		"POST /v1/decisions/{verb}": func(ctx context.Context, c *Client) error {
			_, err := c.DecideMany(ctx, "approve", nil, "feed")
			return err
		},
		"GET /v1/grep":                   func(ctx context.Context, c *Client) error { return c.Grep(ctx, "ntp", nil, ignore) },
		"GET /v1/export":                 func(ctx context.Context, c *Client) error { return c.Export(ctx, nil, ignore) },
		"GET /v1/drift":                  func(ctx context.Context, c *Client) error { _, err := c.Drift(ctx); return err },
		"GET /v1/alerts":                 func(ctx context.Context, c *Client) error { _, err := c.Alerts(ctx, true); return err },
		"POST /v1/alerts/{id}/ack":       func(ctx context.Context, c *Client) error { return c.AckAlert(ctx, 7, "ops", "mine") },
		"GET /v1/runs":                   func(ctx context.Context, c *Client) error { _, err := c.Runs(ctx, 5); return err },
		"GET /v1/runs/{id}":              func(ctx context.Context, c *Client) error { _, err := c.Run(ctx, 5); return err },
		"POST /v1/runs/{id}/stop":        func(ctx context.Context, c *Client) error { return c.StopRun(ctx, 5) },
		"GET /v1/platforms":              func(ctx context.Context, c *Client) error { _, err := c.Platforms(ctx); return err },
		"GET /v1/platforms/{name}":       func(ctx context.Context, c *Client) error { _, err := c.Platform(ctx, odd); return err },
		"GET /v1/secrets":                func(ctx context.Context, c *Client) error { _, err := c.Secrets(ctx); return err },
		"PUT /v1/secrets/{name}":         func(ctx context.Context, c *Client) error { _, err := c.SetSecret(ctx, odd, "x"); return err },
		"POST /v1/secrets/{name}/retry":  func(ctx context.Context, c *Client) error { return c.RetrySecret(ctx, odd) },
		"POST /v1/receivers/{name}/test": func(ctx context.Context, c *Client) error { return c.TestReceiver(ctx, odd) },
		"GET /v1/doctor":                 func(ctx context.Context, c *Client) error { _, err := c.Examine(ctx); return err },
		"POST /v1/doctor/{name}":         func(ctx context.Context, c *Client) error { return c.Doctor(ctx, odd, true, ignore) },
		"POST /v1/verify":                func(ctx context.Context, c *Client) error { _, err := c.Verify(ctx); return err },
		"POST /v1/self/backup":           func(ctx context.Context, c *Client) error { return c.SelfBackup(ctx, "/tmp/x") },
		"POST /v1/reload":                func(ctx context.Context, c *Client) error { _, err := c.Reload(ctx); return err },
		"POST /v1/link":                  func(ctx context.Context, c *Client) error { _, err := c.OpenLink(ctx); return err },
	}

	public, local := newHouse(t).server.Patterns()
	var mu sync.Mutex // guards reached and name
	reached, name := "", ""
	mux := http.NewServeMux()
	for _, p := range append(public, local...) {
		if calls[p] == nil {
			t.Errorf("no method of the client calls %s", p)
		}
		mux.HandleFunc(p, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			reached, name = p, r.PathValue("name")
			mu.Unlock()
			_, _ = io.WriteString(w, `{"end":true}`)
		})
	}
	c := dial(t, mux)
	for pattern, call := range calls {
		mu.Lock()
		reached, name = "", ""
		mu.Unlock()
		err := call(t.Context(), c)
		var list *json.UnmarshalTypeError // the stand-in answers with an object where a list is due
		if err != nil && !errors.As(err, &list) {
			t.Errorf("%s: %v", pattern, err)
		}
		if reached != pattern {
			t.Errorf("the call for %s reached %q", pattern, reached)
		}
		if strings.Contains(pattern, "{name}") && name != odd {
			t.Errorf("%s: the name arrived as %q, want %q", pattern, name, odd)
		}
	}
}

func drain(r io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// An answer that ends before its last line is a failure: what was not
// acknowledged may not have happened.
func TestStreamThatEndsEarlyIsNoSuccess(t *testing.T) {
	tests := map[string]struct {
		send string
		cut  bool
		want string // in the message; empty: it is a success
		exit int
	}{
		"whole":               {send: `{"note":"a"}` + "\n" + `{"end":true}` + "\n"},
		"ends between lines":  {send: `{"note":"a"}` + "\n", want: "ended before the work did", exit: 1},
		"ends within a line":  {send: `{"note":"a"}` + "\n" + `{"no`, want: "ended before the work did", exit: 1},
		"connection cut":      {send: `{"note":"a"}` + "\n", cut: true, want: "ended before the work did", exit: 1},
		"nothing at all":      {want: "ended before the work did", exit: 1},
		"an error last":       {send: `{"note":"a"}` + "\n" + `{"error":{"message":"the disk is full","exit":1}}` + "\n", want: "the disk is full", exit: 1},
		"an error with usage": {send: `{"error":{"message":"no such scope","exit":2}}` + "\n", want: "no such scope", exit: 2},
		"what is no JSON":     {send: "<html>", want: "read the answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusOK)
				_, _ = io.WriteString(w, tt.send)
				_ = http.NewResponseController(w).Flush()
				if tt.cut {
					panic(http.ErrAbortHandler)
				}
			}))
			seen := 0
			err := c.Backup(t.Context(), RunRequest{}, func(Line) error { seen++; return nil })
			if tt.want == "" {
				if err != nil || seen != 1 {
					t.Fatalf("a whole answer gave %d lines, %v", seen, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one that says %q", err, tt.want)
			}
			var e *Error
			if tt.exit != 0 && (!errors.As(err, &e) || e.Exit != tt.exit) {
				t.Errorf("exit code of %v is not %d", err, tt.exit)
			}
		})
	}
}

// A caller that stops reading, or is stopped, gets his own error back.
func TestStreamEndsWithItsCaller(t *testing.T) {
	release := make(chan struct{})
	c := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"note":"a"}`+"\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer close(release)
	enough := errors.New("enough")
	if err := c.Backup(t.Context(), RunRequest{}, func(Line) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the error of the caller's own function came back as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Backup(ctx, RunRequest{}, func(Line) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was stopped ended with %v", err)
	}
}

// Half a diff must not look like a whole one.
func TestDiffThatBreaksOffIsAnError(t *testing.T) {
	damaged := errors.New("blob 7 is damaged")
	tests := map[string]struct {
		diff string
		err  error
		good bool
		say  string
	}{
		"breaks off":                  {diff: "--- a\n+++ b\n@@ -1 +1 @@\n-x\n", err: damaged},
		"fails before its first byte": {err: damaged, say: "blob 7 is damaged"},
		"is whole":                    {diff: "--- a\n+++ b\n@@ -1 +0,0 @@\n-x\n", good: true},
		"is empty":                    {good: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.devices.list = []inventory.Device{router1()}
			h.configs.diff, h.configs.diffErr = tt.diff, tt.err
			err := drain(dial(t, h.server.Local()).Diff(t.Context(), "r1", 1, 2, ""))
			if (err == nil) != tt.good || err != nil && !strings.Contains(err.Error(), tt.say) {
				t.Errorf("the call ended with %v", err)
			}
		})
	}
}

// What a room says arrives at the command with the exit code and the kind that
// it means.
func TestRefusalsKeepSentenceKindAndExitCode(t *testing.T) {
	h := newHouse(t)
	h.devices.list = []inventory.Device{router1()}
	c := dial(t, h.server.Local())
	ctx := t.Context()
	ignore := func(Line) error { return nil }
	tests := map[string]struct {
		call func() error
		say  string
		exit int
		kind collector.Kind
	}{
		"no such device":           {func() error { _, err := c.Device(ctx, "r9"); return err }, "no such device: r9", 1, ""},
		"no such device, acting":   {func() error { return c.RetryDevice(ctx, "r9") }, "no such device: r9", 1, ""},
		"a field that is none":     {func() error { _, err := c.Devices(ctx, "colour:red"); return err }, "colour", 2, ""},
		"the same in drift":        {func() error { _, err := c.Drift(ctx, "colour:red"); return err }, "colour", 2, ""},
		"the same in grep":         {func() error { return c.Grep(ctx, "x", []string{"colour:red"}, ignore) }, "colour", 2, ""},
		"the same in accept-keys":  {func() error { _, err := c.AcceptKeys(ctx, []string{"colour:red"}, nil); return err }, "colour", 2, ""},
		"no such device in list":   {func() error { _, err := c.Devices(ctx, "r1", "r9"); return err }, "no such device: r9", 1, ""},
		"the same in drift, too":   {func() error { _, err := c.Drift(ctx, "r9"); return err }, "no such device: r9", 1, ""},
		"the same in export":       {func() error { return c.Export(ctx, []string{"r9"}, ignore) }, "no such device: r9", 1, ""},
		"the same in approve":      {func() error { _, err := c.DecideMany(ctx, "accept", []string{"r1", "r9"}, ""); return err }, "no such device: r9", 1, ""},
		"the same in accepting":    {func() error { _, err := c.AcceptKeys(ctx, []string{"r9"}, nil); return err }, "no such device: r9", 1, ""},
		"a filter of nothing":      {func() error { _, err := c.Drift(ctx, "site:nowhere"); return err }, "no device fits site:nowhere", 1, ""},
		"the same of grep":         {func() error { return c.Grep(ctx, "x", []string{"site:nowhere"}, ignore) }, "no device fits site:nowhere", 1, ""},
		"a state that is none":     {func() error { _, err := c.Devices(ctx, "state:foo"); return err }, "one of behind, degraded", 2, ""},
		"a faulty pattern":         {func() error { return c.Grep(ctx, "(", nil, ignore) }, "regular expression", 1, ""},
		"no such platform":         {func() error { _, err := c.Platform(ctx, "vms"); return err }, "platform vms", 2, ""},
		"no such run":              {func() error { _, err := c.Run(ctx, 77); return err }, "run", 1, ""},
		"no run at all":            {func() error { _, err := c.Run(ctx, 0); return err }, "muster backup starts one", 1, ""},
		"stop of no run":           {func() error { return c.StopRun(ctx, 77) }, "run", 1, ""},
		"no such alert":            {func() error { return c.AckAlert(ctx, 9, "", "") }, "no such alert", 1, ""},
		"no such decision":         {func() error { _, err := c.Decide(ctx, "r1", "bless", Meant{}); return err }, "bless", 2, ""},
		"many without a name":      {func() error { _, err := c.DecideMany(ctx, "approve", nil, ""); return err }, "muster drift", 2, ""},
		"a group of quarantine":    {func() error { _, err := c.DecideMany(ctx, "accept", nil, "feed"); return err }, "quarantine", 2, ""},
		"a group that is none":     {func() error { _, err := c.DecideMany(ctx, "approve", nil, "feed"); return err }, "nothing waits", 1, ""},
		"no baseline of many":      {func() error { _, err := c.DecideMany(ctx, "purge", []string{"r1"}, ""); return err }, "approve, accept and discard", 2, ""},
		"a diff against nothing":   {func() error { return drain(c.Diff(ctx, "r1", 0, 0, "yesterday")) }, "yesterday", 2, ""},
		"a timeout that is none":   {func() error { _, err := c.SetDevice(ctx, "r1", DeviceSet{Timeout: new("soon")}); return err }, "--timeout", 2, ""},
		"a step that failed":       {func() error { return c.Doctor(ctx, "r1", false, ignore) }, "login rejected", 1, collector.ErrLoginRejected},
		"doctor of no device":      {func() error { return c.Doctor(ctx, "r9", false, ignore) }, "no such device: r9", 1, ""},
		"settings that are faulty": {func() error { _, err := c.Reload(ctx); return err }, "refused with 2", 2, ""},
		"work that failed":         {func() error { _, err := c.Verify(ctx); return err }, "refused with 1", 1, ""},
		"no such job":              {func() error { return c.Backup(ctx, RunRequest{}, ignore) }, "backup", 1, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e *Error
			if err := tt.call(); !errors.As(err, &e) {
				t.Fatalf("error %v is no refusal", err)
			}
			if !strings.Contains(e.Message, tt.say) || e.Exit != tt.exit || e.Kind != tt.kind {
				t.Errorf("refusal %q, exit %d, kind %q; want %q, %d, %q", e.Message, e.Exit, e.Kind, tt.say, tt.exit, tt.kind)
			}
		})
	}
}

// A body with a key that nobody reads is refused: it was meant to do something.
func TestUnknownKeysOfABodyAreRefused(t *testing.T) {
	h := newHouse(t)
	c := dial(t, h.server.Local())
	err := c.call(t.Context(), "POST", "/v1/devices", nil, map[string]string{"address": "192.0.2.9", "colour": "red"}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Exit != 2 || !strings.Contains(e.Message, "colour") {
		t.Errorf("a body with an unknown key gave %v", err)
	}
}

// A process that has gone is said to have gone, and that trying again helps.
func TestCallOfADeadSocketSaysSo(t *testing.T) {
	c := Dial(t.TempDir() + "/none")
	defer c.Close()
	_, err := c.Hello(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Exit != 1 || !strings.Contains(e.Message, "try again") {
		t.Errorf("a call of a dead socket gave %v", fmt.Sprint(err))
	}
}
