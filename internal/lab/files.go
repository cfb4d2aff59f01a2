package lab

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// files serves the two files of FRR that SFTP may read.
func (d *node) files(ch ssh.Channel) {
	h := frrFiles{d}
	s := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h})
	if err := s.Serve(); errors.Is(err, io.EOF) {
		_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
	}
	_ = s.Close()
}

// frrFiles is the file system behind SFTP: read only.
type frrFiles struct{ d *node }

func (f frrFiles) text(path string) (string, error) {
	f.d.note("sftp " + path)
	switch path {
	case "/etc/frr/frr.conf":
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		return f.d.startup(), nil
	case "/etc/frr/daemons":
		return frrDaemons(), nil
	}
	return "", os.ErrNotExist
}

// Fileread is part of sftp.FileReader.
func (f frrFiles) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	text, err := f.text(r.Filepath)
	return strings.NewReader(text), err
}

// Filewrite is part of sftp.FileWriter: nothing may be written.
func (f frrFiles) Filewrite(*sftp.Request) (io.WriterAt, error) { return nil, os.ErrPermission }

// Filecmd is part of sftp.FileCmder: nothing may be changed.
func (f frrFiles) Filecmd(*sftp.Request) error { return os.ErrPermission }

// Filelist is part of sftp.FileLister.
func (f frrFiles) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	text, err := f.text(r.Filepath)
	if err != nil {
		return nil, err
	}
	return oneFile{name: r.Filepath[strings.LastIndexByte(r.Filepath, '/')+1:], size: int64(len(text)), at: f.d.net.started}, nil
}

// oneFile is the only entry of a listing.
type oneFile struct {
	name string
	size int64
	at   time.Time
}

// ListAt is part of sftp.ListerAt.
func (o oneFile) ListAt(out []os.FileInfo, from int64) (int, error) {
	if from > 0 || len(out) == 0 {
		return 0, io.EOF
	}
	out[0] = o
	return 1, io.EOF
}

// The methods of fs.FileInfo.
func (o oneFile) Name() string       { return o.name }
func (o oneFile) Size() int64        { return o.size }
func (o oneFile) Mode() fs.FileMode  { return 0o640 }
func (o oneFile) ModTime() time.Time { return o.at }
func (o oneFile) IsDir() bool        { return false }
func (o oneFile) Sys() any           { return nil }
