package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"muster/collector"
)

// File reads one file by SFTP, at most t.Limits.MaxBytes.
//
// part-missing means that there is no such file, rights-missing that the account
// may not read it, command-rejected that the device has no SFTP.
func (s *Session) File(ctx context.Context, path string) ([]byte, error) {
	var text []byte
	err := s.aside(ctx, "sftp "+path, func(ctx context.Context, c *connection, ch ssh.Channel, reqs <-chan *ssh.Request) (err error) {
		go ssh.DiscardRequests(reqs)
		text, err = c.file(ch, path)
		return err
	})
	s.said("sftp "+path, text)
	return text, err
}

func (c *connection) file(ch ssh.Channel, path string) ([]byte, error) {
	// Silence is the only deadline: every packet moves it.
	watch := time.AfterFunc(c.lim.FirstByte, func() { c.kill(collector.ErrTimedOut) })
	defer watch.Stop()
	ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, c.fail(collector.StepCommand, collector.ErrCommandRejected, nil,
			fmt.Sprintf("Switch SFTP on at %s: it refuses the subsystem", c.name()), nil)
	}
	client, err := sftp.NewClientPipe(&activeReader{ch, watch, c.lim.Silence}, ch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	f, err := client.Open(path)
	if err != nil {
		return nil, c.fileError(path, err)
	}
	defer func() { _ = f.Close() }()
	b, told := bounded{limit: c.lim.MaxBytes}, int64(0)
	if st, err := f.Stat(); err == nil {
		told = st.Size()
		if told < 0 || told > b.limit { // over 2^63 it is negative
			return nil, c.tooLarge(path, nil)
		}
		b.Grow(int(told))
	}
	// WriteTo keeps several requests in flight.
	switch n, err := f.WriteTo(&b); {
	case errors.Is(err, collector.ErrTooLarge):
		return nil, c.tooLarge(path, err)
	case err != nil:
		return nil, c.fileError(path, err)
	case n < told:
		return nil, c.fail(collector.StepOutput, collector.ErrIncomplete, b.Bytes(),
			fmt.Sprintf("Read the device again: its file %s has %d bytes and gave %d, as if it was being written", collector.Escape(path), told, n), nil)
	default:
		return b.Bytes()[:n], nil
	}
}

func (c *connection) tooLarge(path string, cause error) error {
	return c.fail(collector.StepOutput, collector.ErrTooLarge, nil,
		fmt.Sprintf("Make the file %s smaller: it is over %s", collector.Escape(path), size(c.lim.MaxBytes)), cause)
}

// fileError names what the server's status means; other errors stay.
func (c *connection) fileError(path string, err error) error {
	switch path = collector.Escape(path); {
	case errors.Is(err, fs.ErrNotExist):
		return c.fail(collector.StepCommand, collector.ErrPartMissing, nil,
			fmt.Sprintf("Check that %s has the file %s", c.name(), path), err)
	case errors.Is(err, fs.ErrPermission):
		return c.fail(collector.StepCommand, collector.ErrRightsMissing, nil,
			fmt.Sprintf("Let account %s read the file %s on %s", collector.Escape(c.t.Credential.User), path, c.name()), err)
	}
	var status *sftp.StatusError
	if errors.As(err, &status) {
		return c.fail(collector.StepCommand, collector.ErrCommandRejected, []byte(status.Error()),
			fmt.Sprintf("Check that %s is a file that account %s may read", path, collector.Escape(c.t.Credential.User)), err)
	}
	return err
}

// bounded is a buffer that refuses to grow beyond its limit.
type bounded struct {
	bytes.Buffer
	limit int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(b.Len()+len(p)) > b.limit {
		return 0, collector.ErrTooLarge
	}
	return b.Buffer.Write(p)
}

// activeReader moves a deadline with every read.
type activeReader struct {
	io.Reader
	watch   *time.Timer
	silence time.Duration
}

func (r *activeReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 && err == nil {
		r.watch.Reset(r.silence)
	}
	return n, err
}
