package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// cancelling is standard output that ends the verb when it prints.
type cancelling struct{ cancel context.CancelFunc }

func (c cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

// Whoever types a list, or has forgotten the "<", gets out with one Ctrl-C.
func TestCtrlCEndsAVerbThatReadsStandardInput(t *testing.T) {
	p := newPlace(t)
	for name, tt := range map[string]struct {
		typed string // before Ctrl-C; where it is empty, at once
		verb  interface{ Run(*session) error }
	}{
		"add":    {"192.0.2.2 r2\n", &deviceAddCmd{Address: "-"}},
		"import": {"", &deviceImportCmd{File: "-", Format: "auto", listing: listing{Output: "table"}}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, in := io.Pipe()
			defer in.Close()
			if tt.typed != "" {
				go func() { _, _ = io.Copy(in, strings.NewReader(tt.typed)) }()
			}
			s := &session{globals: globals{Dir: p.dir, Config: p.config, Key: p.key}, ctx: ctx, stdin: out, stdout: cancelling{cancel}, stderr: io.Discard}
			if tt.typed == "" {
				cancel()
			}
			ended := make(chan error, 1)
			go func() { ended <- tt.verb.Run(s) }()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v, want %v", err, context.Canceled)
				}
			case <-time.After(time.Minute):
				t.Fatal("it waits for standard input still")
			}
		})
	}
}

// A line that is no address is named, however long it is.
func TestLongLineOfAListIsNamed(t *testing.T) {
	p := newPlace(t)
	code, out := p.run("192.0.2.2 r2\n"+strings.Repeat("1", 70_000)+"\n192.0.2.3 r3", "device", "add", "-")
	if code != exitFailed || !strings.Contains(out, "muster: line 2: ") || !strings.Contains(out, "r3 added") {
		t.Errorf("exit %d: %.200s", code, out)
	}
}
