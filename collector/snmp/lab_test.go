package snmp

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/collector"
	"muster/internal/lab"
	"muster/internal/secret"
)

const (
	labAuth = "fake-auth-password"
	labPriv = "fake-priv-password"
)

// labUsers has one user for every pair of protocols, named by them.
func labUsers() (users []lab.SNMPUser, credentials []collector.Credential) {
	for auth := range authProtocols {
		for priv := range privProtocols {
			if auth == "" && priv != "" {
				continue
			}
			name := "u-" + auth + "-" + priv
			u := lab.SNMPUser{Name: name, Auth: auth, Priv: priv}
			c := collector.Credential{Name: name, Kind: collector.KindSNMPv3, User: name, AuthProtocol: auth, PrivProtocol: priv}
			if auth != "" {
				u.AuthPassword, c.Auth = labAuth, secret.New(labAuth)
			}
			if priv != "" {
				u.PrivPassword, c.Priv = labPriv, secret.New(labPriv)
			}
			users, credentials = append(users, u), append(credentials, c)
		}
	}
	return users, credentials
}

// labNetwork plays two linked switches; sw2 speaks SNMPv3 only.
func labNetwork(t *testing.T) (*lab.Network, []collector.Credential) {
	t.Helper()
	users, credentials := labUsers()
	n, err := lab.Start(context.Background(), lab.Options{
		Devices: []lab.Device{{Name: "sw1", SNMPUsers: users, Community: lab.Community}, {Name: "sw2", Platform: lab.EOS, SNMPUsers: users}},
		Links:   []lab.Link{{A: "sw1", APort: "Te1/1/1", B: "sw2", BPort: "Ethernet1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n, credentials
}

func labTarget(n *lab.Network, name string, c collector.Credential) collector.Target {
	return collector.Target{Device: name, Addr: n.SNMP(name), Credential: c, Limits: collector.Limits{SNMPTimeout: time.Second}}
}

// labCommunity is what sw1 answers.
var labCommunity = collector.Credential{Name: "ro", Kind: collector.KindSNMPv2c, Community: secret.New(lab.Community)}

func TestAllVersionsAndProtocolsReadTheSame(t *testing.T) {
	n, credentials := labNetwork(t)
	v1 := labCommunity
	v1.Kind = collector.KindSNMPv1
	want := mustRead(t, labTarget(n, "sw1", labCommunity))
	if len(want.Interfaces) == 0 || len(want.Components) == 0 || len(want.Neighbors) != 1 || want.System.Descr == "" || want.LocalChassisID == "" {
		t.Fatalf("the lab's switch is bare: %+v", want)
	}
	if nb := want.Neighbors[0]; nb.LocalPort != "Te1/1/1" || nb.RemoteSysName != "sw2" || nb.RemotePort != "Ethernet1" || nb.LocalIfIndex == 0 {
		t.Errorf("neighbor: %+v", nb)
	}
	for _, c := range append(credentials, v1) {
		t.Run(c.Name+string(c.Kind), func(t *testing.T) {
			got := mustRead(t, labTarget(n, "sw1", c))
			if len(got.Faults) > 0 {
				t.Errorf("faults: %v", got.Faults)
			}
			if c.Kind == collector.KindSNMPv3 && (len(got.System.EngineID) < 5 || got.System.EngineBoots == 0) {
				t.Errorf("engine: %+v", got.System)
			}
			if got.Credential != c.Name {
				t.Errorf("credential %q", got.Credential)
			}
			tables := func(r Reading) any {
				return []any{r.Interfaces, r.Addresses, r.Components, r.Neighbors, r.VLANs, r.LocalChassisID, r.BaseMAC, r.System.Descr, r.System.Name}
			}
			if diff := cmp.Diff(tables(want), tables(got), cmp.Comparer(func(a, b Address) bool { return a == b })); diff != "" {
				t.Errorf("read differently (-v2c +%s):\n%s", c.Kind, diff)
			}
		})
	}
	if sets := n.AgentCount("sw1").Sets; sets != 0 {
		t.Errorf("%d SETs were sent", sets)
	}
}

// The credential says aes256; what the agent means by it nobody knows beforehand.
func TestKeyExtensionIsFoundAndRemembered(t *testing.T) {
	n, _ := labNetwork(t)
	for _, tt := range []struct{ user, priv, want string }{
		{"u-sha-aes256", "aes256", "aes256"},
		{"u-sha-aes256c", "aes256", "aes256c"},
		{"u-md5-aes192c", "aes192", "aes192c"},
	} {
		c := collector.Credential{Name: "v3", Kind: collector.KindSNMPv3, User: tt.user, AuthProtocol: "sha", PrivProtocol: tt.priv,
			Auth: secret.New(labAuth), Priv: secret.New(labPriv)}
		if tt.user == "u-md5-aes192c" {
			c.AuthProtocol = "md5"
		}
		s := mustOpen(t, labTarget(n, "sw1", c))
		if s.PrivProtocol() != tt.want || s.System().Name != "sw1" {
			t.Errorf("%s: privacy protocol %q, want %q", tt.user, s.PrivProtocol(), tt.want)
		}
		c.PrivProtocol = s.PrivProtocol()
		before := n.AgentCount("sw1")
		if _, err := Ping(t.Context(), labTarget(n, "sw1", c)); err != nil {
			t.Errorf("%s: with what was remembered: %v", tt.user, err)
		}
		if asked := n.AgentCount("sw1").Requests - before.Requests; asked != 2 {
			t.Errorf("%s: %d requests, want discovery and one GET", tt.user, asked)
		}
	}
}

func TestWrongPrivacyPasswordIsNamed(t *testing.T) {
	n, _ := labNetwork(t)
	c := collector.Credential{Name: "v3", Kind: collector.KindSNMPv3, User: "u-sha-aes", AuthProtocol: "sha", PrivProtocol: "aes",
		Auth: secret.New(labAuth), Priv: secret.New("wrong-password")}
	tg := labTarget(n, "sw1", c)
	tg.Limits.SNMPTimeout = 100 * time.Millisecond
	_, err := Open(t.Context(), tg)
	var e *collector.Error
	if !errors.As(err, &e) || e.Step != collector.StepSystem || e.Kind != collector.ErrLoginRejected && e.Kind != collector.ErrTimedOut || e.Do == "" {
		t.Errorf("Open = %v", err)
	}
}

func TestLabFaultsAreSurvived(t *testing.T) {
	n, credentials := labNetwork(t)
	v3 := credentials[len(credentials)-1]
	whole := len(mustRead(t, labTarget(n, "sw1", labCommunity)).Interfaces)
	tests := map[lab.AgentFault]struct {
		kind  collector.Kind // of Open
		fault bool           // of ifTable
	}{
		lab.AgentDead:     {kind: collector.ErrTimedOut},
		lab.AgentWrongID:  {kind: collector.ErrTimedOut},
		lab.AgentGarbage:  {},
		lab.AgentLoop:     {fault: true},
		lab.AgentDisorder: {fault: true},
	}
	for fault, tt := range tests {
		for _, c := range []collector.Credential{labCommunity, v3} {
			t.Run(string(fault)+" "+string(c.Kind), func(t *testing.T) {
				n.SetAgentFault("sw1", fault)
				defer n.SetAgentFault("sw1", lab.AgentHealthy)
				tg := labTarget(n, "sw1", c)
				tg.Limits.SNMPTimeout = 100 * time.Millisecond
				s, err := Open(t.Context(), tg)
				if tt.kind != "" {
					if !errors.Is(err, tt.kind) {
						t.Errorf("Open = %v, want %s", err, tt.kind)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				r, err := s.Read(t.Context())
				if err != nil || len(r.Interfaces) != whole {
					t.Errorf("Read = %d interfaces of %d, %v", len(r.Interfaces), whole, err)
				}
				if got := faultOf(r, "ifTable") != nil; got != tt.fault {
					t.Errorf("ifTable is wrong: %t, want %t (%v)", got, tt.fault, r.Faults)
				}
			})
		}
	}
}
