package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// socketLimit is how long a Unix socket's path may be, in bytes: sun_path holds
// 108 with its closing zero (unix(7)).
const socketLimit = 107

// socketPath is where the socket of a data directory is: in it, or, where that
// path would be too long, in a folder of ours among the temporary files.
func socketPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if p := filepath.Join(abs, "muster.sock"); len(p) <= socketLimit {
		return p, nil
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	folder := os.Getenv("XDG_RUNTIME_DIR")
	if folder == "" || len(folder) > socketLimit-40 {
		folder = filepath.Join("/tmp", "muster-"+strconv.Itoa(os.Getuid()))
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of the socket: %w", err)
	}
	// Somebody else could have made it first, to listen in our place.
	info, err := os.Lstat(folder)
	if err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s, the folder of the socket, is not yours alone; remove it, or give a shorter path with --dir", folder)
	}
	return filepath.Join(folder, hex.EncodeToString(sum[:8])+".sock"), nil
}

// listener serves a handler until it is closed.
type listener struct {
	server *http.Server
	done   chan struct{}
}

// listenUnix serves h on the Unix socket at path, for the own account only. Who
// calls it holds the data directory, so a socket that is there is a dead one's.
func listenUnix(path string, h http.Handler) (*listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return serve(ln, h), nil
}

// serve serves h on ln in the background.
func serve(ln net.Listener, h http.Handler) *listener {
	l := &listener{
		server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10},
		done:   make(chan struct{}),
	}
	go func() {
		defer close(l.done)
		_ = l.server.Serve(ln) // always ends with an error: http.ErrServerClosed
	}()
	return l
}

// close waits for answers that are under way, but not longer than grace.
func (l *listener) close(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close() // open streams are cut: their readers are told by the missing last line
	}
	<-l.done
}
