package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"muster/backup"
	"muster/internal/alert"
	"muster/internal/schedule"
	"muster/inventory"
)

// Client calls the API, over the Unix socket of the process that holds the data
// directory or within the own process; callers cannot tell the difference.
type Client struct {
	http *http.Client
	// drop closes what the client opened; nil: nothing.
	drop func()
}

// Dial makes a client for the Unix socket at path.
func Dial(path string) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	return &Client{http: &http.Client{Transport: t}, drop: t.CloseIdleConnections}
}

// Close frees the client's connections.
func (c *Client) Close() {
	if c.drop != nil {
		c.drop()
	}
}

// request sends one call and returns the answer's body where it is good. An
// answer that is not comes back as *Error.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, body any) (io.ReadCloser, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	u := url.URL{Scheme: "http", Host: "muster", Path: path, RawQuery: query.Encode()}
	// A name may hold a slash: paths are built from escaped parts.
	if strings.Contains(path, "%") {
		u.RawPath = path
		p, err := url.PathUnescape(path)
		if err != nil {
			return nil, err
		}
		u.Path = p
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), in)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var op *net.OpError
		if errors.As(err, &op) {
			return nil, &Error{Message: fmt.Sprintf("the muster process that held the data directory does not answer (%v); try again", op.Err), Exit: 1}
		}
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		var e struct {
			Error Error `json:"error"`
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil || e.Error.Message == "" {
			return nil, &Error{Message: "the muster process answered " + resp.Status + " to " + method + " " + path, Exit: 1}
		}
		return nil, &e.Error
	}
	return resp.Body, nil
}

// call sends body and decodes the answer into out (nil: thrown away).
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	r, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, r)
		return err
	}
	return json.NewDecoder(r).Decode(out)
}

// stream sends body and calls each for every line of the answer. A line that
// carries an error ends the stream with it; so does an answer that stops before
// the last line, since work that was not acknowledged may not have happened.
func (c *Client) stream(ctx context.Context, method, path string, query url.Values, body any, each func(Line) error) error {
	r, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer r.Close()
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	for {
		var l Line
		if err := dec.Decode(&l); err != nil {
			var garbled *json.SyntaxError
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.As(err, &garbled):
				return fmt.Errorf("read the answer of the muster process: %w", err)
			}
			return &Error{Message: "the muster process ended before the work did; what was printed is stored, the rest is not", Exit: 1}
		}
		if l.Error != nil {
			return l.Error
		}
		if l.End {
			return nil
		}
		if err := each(l); err != nil {
			return err
		}
	}
}

func path(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/v1/" + strings.Join(parts, "/")
}

func values(kv ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(kv); i += 2 {
		if kv[i+1] != "" {
			v.Set(kv[i], kv[i+1])
		}
	}
	return v
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// Hello asks who serves.
func (c *Client) Hello(ctx context.Context) (h Hello, err error) {
	return h, c.call(ctx, "GET", path("hello"), nil, nil, &h)
}

// Status tells how the network stands.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, "GET", path("status"), nil, nil, &s)
}

// Devices lists devices; filter words are joined by "and", none means all.
func (c *Client) Devices(ctx context.Context, filter ...string) (d []Device, err error) {
	return d, c.call(ctx, "GET", path("devices"), values("q", strings.Join(filter, " ")), nil, &d)
}

// Device shows one device, by name, address or serial.
func (c *Client) Device(ctx context.Context, name string) (d DeviceDetail, err error) {
	return d, c.call(ctx, "GET", path("devices", name), nil, nil, &d)
}

// AddDevice puts a device into the inventory that a person names.
func (c *Client) AddDevice(ctx context.Context, a DeviceAdd) (d Device, err error) {
	return d, c.call(ctx, "POST", path("devices"), nil, a, &d)
}

// Import adds and changes the devices that a file lists, or tells what it would do.
func (c *Client) Import(ctx context.Context, i Import) (done inventory.Imported, err error) {
	return done, c.call(ctx, "POST", path("import"), nil, i, &done)
}

// SetDevice changes what a person decides about a device.
func (c *Client) SetDevice(ctx context.Context, name string, s DeviceSet) (d Device, err error) {
	return d, c.call(ctx, "PATCH", path("devices", name), nil, s, &d)
}

// RetryDevice starts a new count of rejected logins.
func (c *Client) RetryDevice(ctx context.Context, name string) error {
	return c.call(ctx, "POST", path("devices", name, "retry"), nil, nil, nil)
}

// Allow says yes to passwords at devices, or shows to which host keys that would be.
func (c *Client) Allow(ctx context.Context, a Allow) (done []inventory.Allowed, err error) {
	return done, c.call(ctx, "POST", path("allow"), nil, a, &done)
}

// AcceptKeys pins the host keys that the devices of filter showed last, or those
// of known (lines of an OpenSSH known_hosts file); it returns what was pinned.
func (c *Client) AcceptKeys(ctx context.Context, filter []string, known []byte) (a []inventory.Accepted, err error) {
	return a, c.call(ctx, "POST", path("accept-keys"), nil, AcceptKeys{Filter: filter, KnownHosts: string(known)}, &a)
}

// ReplaceDevice says that a device's hardware was replaced: serial and host keys
// are taken anew, the history stays.
func (c *Client) ReplaceDevice(ctx context.Context, name string) error {
	return c.call(ctx, "POST", path("devices", name, "replace"), nil, nil, nil)
}

// MergeDevice makes other a part of name's history.
func (c *Client) MergeDevice(ctx context.Context, name, other string) error {
	return c.call(ctx, "POST", path("devices", name, "merge"), values("other", other), nil, nil)
}

// RetireDevice takes a device out of service and keeps its history.
func (c *Client) RetireDevice(ctx context.Context, name string) error {
	return c.call(ctx, "POST", path("devices", name, "retire"), nil, nil, nil)
}

// DeleteDevice removes a device with its history.
func (c *Client) DeleteDevice(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", path("devices", name), nil, nil, nil)
}

// Discover sweeps the scopes (none: all).
func (c *Client) Discover(ctx context.Context, r RunRequest, each func(Line) error) error {
	return c.stream(ctx, "POST", path("discover"), nil, r, each)
}

// Backup takes backups of the devices of the filter (none: all managed ones).
func (c *Client) Backup(ctx context.Context, r RunRequest, each func(Line) error) error {
	return c.stream(ctx, "POST", path("backup"), nil, r, each)
}

// Text returns one stored text of a device.
func (c *Client) Text(ctx context.Context, name string, w backup.Which) (io.ReadCloser, error) {
	p := path("config", name, "text")
	if w.Raw {
		p = path("config", name, "raw")
	}
	return c.request(ctx, "GET", p, values("version", number(w.Version), "part", w.Part, "quarantined", flag(w.Quarantined), "capture", w.Capture), nil)
}

// Quarantined tells which capture of a device is in quarantine.
func (c *Client) Quarantined(ctx context.Context, name string) (h Held, err error) {
	return h, c.call(ctx, "GET", path("config", name, "quarantined"), nil, nil, &h)
}

// Versions lists the versions of a device, newest first.
func (c *Client) Versions(ctx context.Context, name string) (v []Version, err error) {
	return v, c.call(ctx, "GET", path("config", name, "log"), nil, nil, &v)
}

// Diff returns a unified diff, redacted: of two versions (0, 0: the newest and
// the one before), or against "unsaved" or "baseline", or what is "pending".
func (c *Client) Diff(ctx context.Context, name string, a, b int, against string) (io.ReadCloser, error) {
	return c.request(ctx, "GET", path("config", name, "diff"), values("a", number(a), "b", number(b), "against", against), nil)
}

// Grep searches the newest redacted texts.
func (c *Client) Grep(ctx context.Context, pattern string, filter []string, each func(Line) error) error {
	return c.stream(ctx, "GET", path("grep"), values("pattern", pattern, "q", strings.Join(filter, " ")), nil, each)
}

// Export streams one redacted file a device.
func (c *Client) Export(ctx context.Context, filter []string, each func(Line) error) error {
	return c.stream(ctx, "GET", path("export"), values("q", strings.Join(filter, " ")), nil, each)
}

// Decide acts on a device's configuration: "approve", "accept", "discard",
// "baseline", "unpin" or "purge".
func (c *Client) Decide(ctx context.Context, name, verb string, m Meant) (d Decided, err error) {
	return d, c.call(ctx, "POST", path("config", name, verb), values("version", number(m.Version), "capture", m.Capture), nil, &d)
}

// DecideMany approves, accepts or discards on all devices that a filter fits, or
// of a group of changes.
func (c *Client) DecideMany(ctx context.Context, verb string, filter []string, group string) (d []Decided, err error) {
	return d, c.call(ctx, "POST", path("decisions", verb), values("q", strings.Join(filter, " "), "group", group), nil, &d)
}

// Drift lists what drifted.
func (c *Client) Drift(ctx context.Context, filter ...string) (d []backup.Drift, err error) {
	return d, c.call(ctx, "GET", path("drift"), values("q", strings.Join(filter, " ")), nil, &d)
}

// Alerts lists alerts: the firing ones, or all.
func (c *Client) Alerts(ctx context.Context, all bool) (a []alert.Alert, err error) {
	return a, c.call(ctx, "GET", path("alerts"), values("all", flag(all)), nil, &a)
}

// AckAlert says that somebody (empty: whoever sits at the command) has taken an
// alert, with a note.
func (c *Client) AckAlert(ctx context.Context, id int64, who, note string) error {
	return c.call(ctx, "POST", path("alerts", strconv.FormatInt(id, 10), "ack"), values("by", who, "note", note), nil, nil)
}

// Explain says what muster would do at an address or a device, and why.
func (c *Client) Explain(ctx context.Context, address string) (steps []inventory.Explained, err error) {
	return steps, c.call(ctx, "GET", path("explain"), values("address", address), nil, &steps)
}

// Runs lists the newest runs.
func (c *Client) Runs(ctx context.Context, limit int) (r []schedule.Run, err error) {
	return r, c.call(ctx, "GET", path("runs"), values("limit", number(limit)), nil, &r)
}

// Run shows one run; 0: the newest.
func (c *Client) Run(ctx context.Context, id int64) (r RunDetail, err error) {
	return r, c.call(ctx, "GET", path("runs", strconv.FormatInt(id, 10)), nil, nil, &r)
}

// StopRun stops one: no new tasks, running ones get their grace.
func (c *Client) StopRun(ctx context.Context, id int64) error {
	return c.call(ctx, "POST", path("runs", strconv.FormatInt(id, 10), "stop"), nil, nil, nil)
}

// Platforms lists the definitions in force.
func (c *Client) Platforms(ctx context.Context) (p []Platform, err error) {
	return p, c.call(ctx, "GET", path("platforms"), nil, nil, &p)
}

// Platform shows one, with every command that may ever be sent.
func (c *Client) Platform(ctx context.Context, name string) (p Platform, err error) {
	return p, c.call(ctx, "GET", path("platforms", name), nil, nil, &p)
}

// SetSecret seals a secret and tells who uses it.
func (c *Client) SetSecret(ctx context.Context, name, value string) (u SecretUse, err error) {
	return u, c.call(ctx, "PUT", path("secrets", name), nil, SecretValue{Value: value}, &u)
}

// Secrets lists the names of sealed secrets.
func (c *Client) Secrets(ctx context.Context) (s []Secret, err error) {
	return s, c.call(ctx, "GET", path("secrets"), nil, nil, &s)
}

// RetrySecret releases the credentials that use a secret and starts new counts.
func (c *Client) RetrySecret(ctx context.Context, name string) error {
	return c.call(ctx, "POST", path("secrets", name, "retry"), nil, nil, nil)
}

// Doctor goes through every step of a session with a device, one Line a step, and
// with record one for everything that the device said.
func (c *Client) Doctor(ctx context.Context, device string, record bool, each func(Line) error) error {
	var q url.Values
	if record {
		q = url.Values{"record": {""}}
	}
	return c.stream(ctx, "POST", path("doctor", device), q, nil, each)
}

// Examine checks the installation.
func (c *Client) Examine(ctx context.Context) (f []Finding, err error) {
	return f, c.call(ctx, "GET", path("doctor"), nil, nil, &f)
}

// Verify reads everything that is stored and checks it.
func (c *Client) Verify(ctx context.Context) (v Verified, err error) {
	return v, c.call(ctx, "POST", path("verify"), nil, nil, &v)
}

// SelfBackup writes a copy of the database to file, on the server's side.
func (c *Client) SelfBackup(ctx context.Context, file string) error {
	return c.call(ctx, "POST", path("self", "backup"), values("file", file), nil, nil)
}

// TestReceiver delivers a test message.
func (c *Client) TestReceiver(ctx context.Context, name string) error {
	return c.call(ctx, "POST", path("receivers", name, "test"), nil, nil, nil)
}

// Reload reads the settings again.
func (c *Client) Reload(ctx context.Context) (note string, err error) {
	var l Line
	err = c.call(ctx, "POST", path("reload"), nil, nil, &l)
	return l.Note, err
}

// OpenLink asks the serving process for a one-time link to its pages.
func (c *Client) OpenLink(ctx context.Context) (link string, err error) {
	var l Line
	err = c.call(ctx, "POST", path("link"), nil, nil, &l)
	return l.Note, err
}
