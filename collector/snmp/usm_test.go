package snmp

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/gosnmp/gosnmp"

	"muster/collector"
)

// The vectors of RFC 3414 A.3.1 and A.3.2.
func TestKeysAreThoseOfRFC3414(t *testing.T) {
	engineID, _ := hex.DecodeString("000000000000000000000002")
	tests := map[string]struct{ ku, kul string }{
		"md5": {"9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"},
		"sha": {"9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"},
	}
	for name, tt := range tests {
		h := authProtocols[name].hash
		if got := hex.EncodeToString(passwordKeys.passwordKey(h, "maplesyrup")); got != tt.ku {
			t.Errorf("%s: Ku = %s, want %s", name, got, tt.ku)
		}
		if got := hex.EncodeToString(localized(h, "maplesyrup", engineID)); got != tt.kul {
			t.Errorf("%s: Kul = %s, want %s", name, got, tt.kul)
		}
	}
}

func TestKeysAreThoseOfTheLibrary(t *testing.T) {
	reeder := map[string]gosnmp.SnmpV3PrivProtocol{"aes192c": gosnmp.AES192C, "aes256c": gosnmp.AES256C}
	for authName, auth := range authProtocols {
		if authName == "" {
			continue
		}
		for privName, priv := range privProtocols {
			if privName == "" {
				continue
			}
			usm := &gosnmp.UsmSecurityParameters{
				AuthoritativeEngineID: string(testEngine), AuthenticationProtocol: auth.lib, PrivacyProtocol: priv.lib,
				AuthenticationPassphrase: "fake-auth-password", PrivacyPassphrase: "fake-priv-password",
			}
			if p, ok := reeder[privName]; ok {
				usm.PrivacyProtocol = p
			}
			if err := usm.InitSecurityKeys(); err != nil {
				t.Fatal(err)
			}
			if got := localized(auth.hash, "fake-auth-password", testEngine); !bytes.Equal(got, usm.SecretKey) {
				t.Errorf("%s: another authentication key than the library's", authName)
			}
			got := privKey(auth.hash, privName, "fake-priv-password", testEngine)
			if !bytes.Equal(got, usm.PrivacyKey[:len(got)]) {
				t.Errorf("%s, %s: another privacy key than the library's", authName, privName)
			}
		}
	}
}

func TestBothKeyExtensionsAreTriedWhereTheyDiffer(t *testing.T) {
	tests := map[string]struct {
		auth, priv string
		want       []string
	}{
		"hash too short for 256":     {"sha", "aes256", []string{"aes256", "aes256c"}},
		"hash too short for 192":     {"md5", "aes192", []string{"aes192", "aes192c"}},
		"hash just long enough":      {"sha256", "aes256", []string{"aes256"}},
		"hash long enough for 192":   {"sha224", "aes192", []string{"aes192"}},
		"Cisco's is forced":          {"sha", "aes256c", []string{"aes256c"}},
		"AES-128 needs no extension": {"md5", "aes", []string{"aes"}},
		"no privacy":                 {"sha", "", []string{""}},
	}
	for name, tt := range tests {
		if got := variants(collector.Credential{AuthProtocol: tt.auth, PrivProtocol: tt.priv}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestPasswordKeysDoNotGrowForEver(t *testing.T) {
	c := keyCache{keys: map[[32]byte][]byte{}}
	for i := range keyCacheLimit {
		c.keys[[32]byte{byte(i), byte(i >> 8)}] = nil
	}
	c.passwordKey(authProtocols["md5"].hash, "one more")
	if len(c.keys) > keyCacheLimit {
		t.Errorf("%d keys", len(c.keys))
	}
}
