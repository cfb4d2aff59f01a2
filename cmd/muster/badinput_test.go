package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muster/internal/app"
	"muster/internal/secret"
)

// place is one installation: a data directory with a device in it, settings, key.
type place struct {
	t                      *testing.T
	root, dir, config, key string
	runs                   bool // the command gets as far as a run, which is written down
}

const goodSettings = `timezone: UTC
credentials:
  - name: noc
    kind: ssh
    user: backup
    password: { secret: noc }
scopes:
  - name: campus
    addresses: [192.0.2.0/28]
    credentials: [noc]
web: off
`

func newPlace(t *testing.T) *place {
	t.Helper()
	root := t.TempDir()
	p := &place{t: t, root: root, dir: filepath.Join(root, "data"), config: filepath.Join(root, "muster.yaml"), key: filepath.Join(root, "muster.key")}
	p.write(p.config, goodSettings)
	for _, args := range [][]string{{"secret", "set", "noc"}, {"device", "add", "192.0.2.1", "--name", "r1", "--platform", "frr"}} {
		if code, out := p.run("fake-password\n", args...); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, out)
		}
	}
	return p
}

func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// run runs the command here and returns its exit code and all that it said.
func (p *place) run(stdin string, args ...string) (int, string) {
	var out bytes.Buffer
	code := run(append([]string{"--dir", p.dir, "--config", p.config, "--key", p.key}, args...), strings.NewReader(stdin), &out, &out)
	return code, out.String()
}

// files are the names and digests of all files, without those that say who holds
// the directory and without SQLite's own beside the database.
func (p *place) files() map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(p.root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !e.Type().IsRegular() {
			return err
		}
		switch filepath.Base(name) {
		case "muster.lock", "muster.db-wal", "muster.db-shm":
			return nil
		case "muster.db":
			if p.runs {
				return nil
			}
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(p.root, name)
		all[rel] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func (p *place) willRun() { p.runs = true }

// sql changes the database behind muster's back.
func (p *place) sql(name, statement string) {
	p.t.Helper()
	db, err := sql.Open("sqlite3", name)
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		p.t.Fatal(err)
	}
}

// hold keeps the directory in use, as a server does, until the test ends.
func (p *place) hold() {
	p.t.Helper()
	a, err := app.Open(p.t.Context(), app.Options{Dir: p.dir, Config: p.config, Key: p.key, Stderr: bytes.NewBuffer(nil)})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { a.Close() })
}

// TestBadInputIsOneSentenceAndLosesNothing breaks one thing a row. The command
// says it in one sentence that names the thing and the mend, ends with the exit
// code of the plan, and changes no file. Package settings has a row for each
// fault of muster.yaml.
//
// "A directory without rights" is one below a file: also root cannot write there,
// so that the row holds for whoever runs the tests.
func TestBadInputIsOneSentenceAndLosesNothing(t *testing.T) {
	edit := func(old, new string) func(*place) {
		return func(p *place) {
			if !strings.Contains(goodSettings, old) {
				p.t.Fatalf("the settings have no %q", old)
			}
			p.write(p.config, strings.Replace(goodSettings, old, new, 1))
		}
	}
	tests := map[string]struct {
		spoil func(p *place)
		args  []string // none: check
		code  int
		says  []string // regular expressions, each in the one line
	}{
		"CIDR":                    {edit("192.0.2.0/28", "192.0.2.0/33"), nil, 2, []string{`muster\.yaml:9:17: `, `"192\.0\.2\.0/33"`, `192\.0\.2\.0/24`}},
		"cron expression":         {edit("web: off", `schedules: { backup: { cron: "20 25 * * *" } }`), nil, 2, []string{`muster\.yaml:11:30: schedules\.backup\.cron`, `25`}},
		"YAML key":                {edit("addresses:", "adresses:"), nil, 2, []string{`muster\.yaml:9:5: `, `"adresses"`, `Did you mean addresses\?`}},
		"no YAML":                 {edit("[noc]", "[noc"), nil, 2, []string{`muster\.yaml:1[01]:`, `no YAML`}},
		"credential kind":         {edit("kind: ssh", "kind: sssh"), nil, 2, []string{`muster\.yaml:4:11: credentials\[0\]\.kind`, `"sssh"`, `ssh`}},
		"a secret itself":         {edit("{ secret: noc }", "hunter2-fake"), nil, 2, []string{`muster\.yaml:6:15: `, `muster secret set`}},
		"filter of a maintenance": {edit("web: off", `maintenance: [{ name: w, cron: "0 22 * * 2", duration: 4h, filter: "rack:7" }]`), nil, 2, []string{`muster\.yaml:11:68: maintenance\[0\]\.filter`, `no field "rack"`, `site`}},
		"maintenance without end": {edit("web: off", `maintenance: [{ name: w, cron: "0 * * * *", duration: 1h }]`), nil, 2, []string{`muster\.yaml:11:55: maintenance\[0\]\.duration`, `Make it shorter`}},
		"secret of a chat":        {edit("web: off", `receivers: [{ name: chat, kind: slack, url: { secret: hook } }]`), nil, 2, []string{`receiver chat: .*secret "hook" is not set`, `muster secret set hook`}},
		"a test of that chat":     {edit("web: off", `receivers: [{ name: chat, kind: slack, url: { secret: hook } }]`), []string{"receiver", "test", "chat"}, 1, []string{`receiver chat: .*secret "hook" is not set`, `muster secret set hook`}},
		"address of a chat in clear": {func(p *place) {
			p.write(filepath.Join(p.root, "hook"), "http://hooks.example.net/services/hunter2-fake\n")
			p.write(p.config, goodSettings+"receivers: [{ name: chat, kind: slack, url: { file: hook } }]\n")
		}, nil, 2, []string{`receiver chat: its url begins with http:`, `muster secret set NAME`}},
		"settings missing": {func(p *place) { p.config = filepath.Join(p.root, "nowhere.yaml") }, []string{"status"}, 2,
			[]string{`nowhere\.yaml is not there`, `muster init`, `--config`}},
		"settings as a verb sees them": {edit("192.0.2.0/28", "192.0.2.0/33"), []string{"status"}, 2, []string{`muster\.yaml:9:17: `}},

		"platform of device set": {nil, []string{"device", "set", "r1", "--platform", "frrr"}, 2, []string{`no platform "frrr"`, `muster platform list`}},
		"platform of device add": {nil, []string{"device", "add", "192.0.2.2", "--platform", "frrr"}, 2, []string{`no platform "frrr"`, `muster platform list`}},
		"platform of show":       {nil, []string{"platform", "show", "frrr"}, 2, []string{`no platform frrr`, `muster platform list`}},
		"credential of a device": {nil, []string{"device", "set", "r1", "--credential", "nco"}, 2, []string{`no credential "nco"`, `muster\.yaml`, `noc`}},
		"platform definition": {func(p *place) {
			p.write(p.dir+"/platforms/own.yaml", "name: own\nlike: frr\nvendor: Own\nevidence: { kind: declared, source: a test }\nfrobnicate: 1\n")
		}, nil, 2, []string{`own\.yaml:5:1: unknown key`}},
		"definition that changes": {func(p *place) { p.write(p.dir+"/platforms/own.yaml", writing) }, []string{"status"}, 2, []string{`own\.yaml:5:\d+: `, `list of commands that read`}},

		"pattern of a definition": {func(p *place) {
			p.write(p.dir+"/platforms/own.yaml", strings.Replace(writing, `off: [write memory]`, `marker: '^(--More--'`, 1))
		}, nil, 2, []string{`own\.yaml:5:\d+: paging\.marker is no valid RE2 pattern`, `missing closing`}},
		"certificate of a receiver": {distrusted, []string{"receiver", "test", "hook"}, 1, []string{`receiver hook: `, `certificate signed by unknown authority`, `SSL_CERT_FILE`}},

		"a file that is no database": {func(p *place) { p.write(p.dir+"/muster.db", "holiday pictures\n") }, []string{"status"}, 2,
			[]string{`muster\.db is not a muster database`, `--dir`}},
		"another program's database": {func(p *place) {
			if err := os.Remove(p.dir + "/muster.db"); err != nil {
				p.t.Fatal(err)
			}
			p.sql(p.dir+"/muster.db", "CREATE TABLE song (title TEXT)")
		}, []string{"status"}, 2, []string{`muster\.db is not a muster database`, `--dir`}},
		"a newer schema": {func(p *place) {
			p.sql(p.dir+"/muster.db", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, 1); PRAGMA wal_checkpoint(TRUNCATE)")
		}, []string{"status"}, 2, []string{`made by a newer muster \(schema 999999, this one knows \d+\)`, `Install that version`}},
		"a damaged database": {func(p *place) {
			b, err := os.ReadFile(p.dir + "/muster.db")
			if err != nil {
				p.t.Fatal(err)
			}
			p.write(p.dir+"/muster.db", string(b[:6000]))
		}, []string{"status"}, 1, []string{`muster\.db`, `malformed|damaged`}},

		"wrong master key": {func(p *place) { p.write(p.key, string(secret.NewKey().File())) }, []string{"status"}, 2, []string{`key`, `muster\.key|--key`}},
		"lost master key": {func(p *place) {
			if err := os.Remove(p.key); err != nil {
				p.t.Fatal(err)
			}
		}, []string{"status"}, 2, []string{`muster\.key is not there`, `from its copy`, `--key`}},
		"no master key in its file": {func(p *place) { p.write(p.key, "muster\n") }, []string{"status"}, 2, []string{`muster\.key`}},
		"master key for everybody": {func(p *place) {
			if err := os.Chmod(p.key, 0o644); err != nil {
				p.t.Fatal(err)
			}
		}, []string{"status"}, 2, []string{`muster\.key may be used by everybody`, `chmod 600`}},

		"a directory without rights":    {func(p *place) { p.dir = filepath.Join(p.config, "data") }, []string{"status"}, 2, []string{`muster\.yaml`, `--dir`}},
		"a key file where none can be":  {func(p *place) { p.dir, p.key = p.root+"/new", p.config+"/key" }, []string{"discover"}, 2, []string{`muster\.yaml/key`, `--key`}},
		"an export where none can be":   {nil, []string{"config", "export", "MUSTER.YAML/out"}, 1, []string{`muster\.yaml: not a directory`}},
		"a copy of the store, no place": {nil, []string{"self", "backup", "MUSTER.YAML/copy.db"}, 1, []string{`muster\.yaml/copy\.db`}},
		"a port in use":                 {portInUse, []string{"serve"}, 2, []string{`cannot listen on 127\.0\.0\.1:\d+`, `in use`, `web: listen:`, `muster\.yaml`}},
		"a second server":               {(*place).hold, []string{"serve"}, 1, []string{`data is in use by the process \d+`, `--dir`}},
		"a --config that is not the same": {func(p *place) {
			p.hold()
			p.config = filepath.Join(p.root, "other.yaml")
			p.write(p.config, goodSettings)
		}, []string{"status"}, 2, []string{`process \d+ holds`, `muster\.yaml, not of \S*other\.yaml`, `--config`}},
		"no such verb":              {nil, []string{"stauts"}, 2, []string{`stauts`, `--help`}},
		"no such device":            {(*place).willRun, []string{"backup", "r2"}, 1, []string{`r2`, `r1`}},
		"no such scope":             {(*place).willRun, []string{"discover", "campsu"}, 1, []string{`campsu`, `campus`}},
		"no such field of a filter": {nil, []string{"device", "list", "sit:paris"}, 2, []string{`"sit"`, `site`}},
		"a pattern that is none":    {nil, []string{"config", "grep", "("}, 1, []string{`\(`, `missing`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			config := p.config
			if tt.spoil != nil {
				tt.spoil(p)
			}
			args := tt.args
			if args == nil {
				args = []string{"check"}
			}
			for i, a := range args {
				args[i] = strings.Replace(a, "MUSTER.YAML", config, 1)
			}
			before := p.files()
			code, said := p.run("", args...)
			if code != tt.code {
				t.Errorf("exit %d, not %d: %s", code, tt.code, said)
			}
			if strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "muster: ") {
				t.Errorf("not one sentence: %s", said)
			}
			for _, re := range tt.says {
				if !regexp.MustCompile(re).MatchString(said) {
					t.Errorf("%s\ndoes not say %s", said, re)
				}
			}
			if strings.Contains(said, "hunter2") {
				t.Errorf("a value that could be a secret is quoted: %s", said)
			}
			after := p.files()
			for f, sum := range before {
				if after[f] != sum {
					t.Errorf("%s was changed or has gone", f)
				}
			}
			for f := range after {
				if before[f] == "" && !strings.HasPrefix(f, "new/") {
					t.Errorf("%s was made", f)
				}
			}
		})
	}
}

func portInUse(p *place) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { ln.Close() })
	p.write(p.config, strings.Replace(goodSettings, "web: off", fmt.Sprintf("web: { listen: %q }", ln.Addr()), 1))
}

// writing is a definition whose command changes the device.
// distrusted makes a receiver of a server whose certificate nobody vouches for.
func distrusted(p *place) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	p.t.Cleanup(s.Close)
	p.write(p.config, goodSettings+fmt.Sprintf("receivers: [{ name: hook, kind: webhook, url: %q }]\n", s.URL))
}

const writing = `name: own
like: frr
vendor: Own
evidence: { kind: declared, source: 'a test' }
cli: { prompt: '^\S+# ?$', paging: { off: [write memory] } }
`
