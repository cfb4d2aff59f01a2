package inventory

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// In a network namespace of its own this machine has no route, then one through a
// link without a carrier, then one through a gateway that is not there.
func TestWhatThisMachineLacks(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil || runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("NOT RUN: what this machine lacks; it needs Linux, root and iproute2 for a network namespace of its own")
	}
	done := make(chan struct{})
	go func() { // its thread stays in the namespace and ends with it
		defer close(done)
		runtime.LockOSThread()
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		ip := func(args string) {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Errorf("ip %s: %v\n%s", args, err, out)
			}
		}
		near, far, none := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("198.51.100.1"), netip.Addr{}
		want := func(addr, source netip.Addr, what string) {
			t.Helper()
			if got := lookAtMachine()(addr, source); got.what != what {
				t.Errorf("%s: %q, want %q", addr, got.what, what)
			}
		}
		want(near, none, "this machine has no route to 192.0.2.9")
		ip("link add mus0 type veth peer name mus1")
		ip("addr add 192.0.2.2/24 dev mus0")
		ip("link set mus0 up")
		want(near, none, "interface mus0 of this machine has no link")
		want(near, netip.MustParseAddr("192.0.2.77"), "this machine has no address 192.0.2.77")
		ip("link set mus1 up")
		// The kernel tells of a carrier when it gets to it.
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if l, err := net.InterfaceByName("mus0"); err != nil || l.Flags&net.FlagRunning != 0 {
				break
			}
		}
		ip("route add default via 192.0.2.1")
		want(far, none, "") // nobody has asked the gateway yet
		c, err := net.Dial("udp", "198.51.100.1:9")
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = c.Write([]byte("x"))
		_ = c.Close()
		want(far, none, "gateway 192.0.2.1 of this machine does not answer on mus0")
		want(near, none, "")
		ip("neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 dev mus0")
		want(far, none, "")
	}()
	<-done
}
