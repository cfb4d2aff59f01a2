package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"muster/collector"
)

// served are the files of a device's SFTP subsystem.
type served map[string][]byte

func (f served) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	switch b, ok := f[r.Filepath]; {
	case !ok:
		return nil, sftp.ErrSSHFxNoSuchFile
	case b == nil:
		return nil, sftp.ErrSSHFxPermissionDenied
	default:
		return bytes.NewReader(b), nil
	}
}

func (f served) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	return listed{int64(len(f[r.Filepath]))}, nil
}

type listed struct{ size int64 }

func (l listed) ListAt(fi []os.FileInfo, _ int64) (int, error) {
	fi[0] = fileInfo(l)
	return 1, io.EOF
}

type fileInfo struct{ size int64 }

func (f fileInfo) Name() string       { return "file" }
func (f fileInfo) Size() int64        { return f.size }
func (f fileInfo) Mode() os.FileMode  { return 0o644 }
func (f fileInfo) ModTime() time.Time { return time.Time{} }
func (f fileInfo) IsDir() bool        { return false }
func (f fileInfo) Sys() any           { return nil }

func (f served) handlers() sftp.Handlers { return sftp.Handlers{FileGet: f, FileList: f} }

// frozenFiles opens a file that never answers a read.
func frozenFiles() sftp.Handlers {
	f := served{"/etc/frr.conf": []byte("x")}
	h := f.handlers()
	h.FileGet = frozenGet{}
	return h
}

type frozenGet struct{}

func (frozenGet) Fileread(*sftp.Request) (io.ReaderAt, error) { return frozenReader{}, nil }

type frozenReader struct{}

func (frozenReader) ReadAt([]byte, int64) (int, error) {
	time.Sleep(500 * time.Millisecond)
	return 0, io.ErrUnexpectedEOF
}

func TestFileComesByteForByte(t *testing.T) {
	text := bytes.Repeat([]byte("hostname r1\r\n\x00\x1b[1m \n"), 20000)
	files := served{"/etc/frr/frr.conf": text, "/etc/shadow": nil, "/etc/empty": {}}
	for name, d := range map[string]*device{
		"several sessions a connection": {sftp: true, files: files.handlers()},
		"one session a connection":      {sftp: true, files: files.handlers(), sessions: 1},
	} {
		t.Run(name, func(t *testing.T) {
			d.shell = prompting("r1#", map[string]string{"show version": "FRR 8.4\n"})
			d.start(t)
			s := mustOpen(t, d.target(), plainDialogue(), Options{})
			ctx := context.Background()
			for range 2 {
				got, err := s.File(ctx, "/etc/frr/frr.conf")
				if err != nil || !bytes.Equal(got, text) {
					t.Fatalf("%d bytes, %v; want %d", len(got), err, len(text))
				}
			}
			if got, err := s.File(ctx, "/etc/empty"); err != nil || len(got) != 0 {
				t.Errorf("empty file: %q, %v", got, err)
			}
			_, err := s.File(ctx, "/etc/nothing")
			_ = wantError(t, err, collector.StepCommand, collector.ErrPartMissing)
			_, err = s.File(ctx, "/etc/shadow")
			_ = wantError(t, err, collector.StepCommand, collector.ErrRightsMissing)
			out, err := s.Run(ctx, "show version")
			if err != nil || string(out.Text) != "FRR 8.4\n" {
				t.Errorf("the shell after a file: %q, %v", out.Text, err)
			}
			if n := d.did("connect"); n != 2 {
				t.Errorf("%d connections for a shell and five files, want 2", n)
			}
		})
	}
}

func TestFileTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	files := served{"/f": make([]byte, 3000)}
	lying := files.handlers()
	lying.FileList = served{}
	for name, h := range map[string]sftp.Handlers{"size told": files.handlers(), "size hidden": lying} {
		d := (&device{sftp: true, files: h, shell: prompting("r1#", nil)}).start(t)
		target := d.target()
		target.Limits.MaxBytes = 2000
		s := mustOpen(t, target, plainDialogue(), Options{})
		_, err := s.File(context.Background(), "/f")
		t.Log(name)
		_ = wantError(t, err, collector.StepOutput, collector.ErrTooLarge)
	}
}

// told are files of which the server tells another size.
type told struct {
	served
	size int64
}

func (f told) Filelist(*sftp.Request) (sftp.ListerAt, error) { return listed{f.size}, nil }

func TestFileOfAnotherSizeThanTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size int64
		kind collector.Kind // empty: it is taken
	}{
		"shorter: it is being written": {1000, collector.ErrIncomplete},
		"longer: it has grown":         {100, ""},
		"none told, as of /proc":       {0, ""},
		"over 2^63":                    {-1, collector.ErrTooLarge},
	} {
		text := bytes.Repeat([]byte("x"), 500)
		f := told{served{"/f": text}, tt.size}
		d := (&device{sftp: true, files: sftp.Handlers{FileGet: f, FileList: f}, shell: prompting("r1#", nil)}).start(t)
		s := mustOpen(t, d.target(), plainDialogue(), Options{})
		got, err := s.File(t.Context(), "/f")
		t.Log(name)
		switch {
		case tt.kind != "":
			_ = wantError(t, err, collector.StepOutput, tt.kind)
		case err != nil || !bytes.Equal(got, text):
			t.Errorf("%d bytes, %v; want 500", len(got), err)
		}
	}
}

func TestDeviceWithoutSFTP(t *testing.T) {
	d := (&device{shell: prompting("r1#", nil)}).start(t)
	s := mustOpen(t, d.target(), plainDialogue(), Options{})
	_, err := s.File(context.Background(), "/f")
	_ = wantError(t, err, collector.StepCommand, collector.ErrCommandRejected)
}
