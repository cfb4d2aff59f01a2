package platform

import "testing"

// Text of any platform: what stands between « and » goes, the rest stays.
func TestMaskHidesWhatUnknownKeywordsAnnounce(t *testing.T) {
	for _, text := range []string{
		"set wifi passphrase «correcthorse»",
		`wlan security wpa-passphrase "«correct horse battery»"`,
		"user add bob password «hunter2hunter2» role admin",
		"user bob secret 5 «$1$abcd$FAKEFAKE»",
		"acme-token «abcdef0123456789»",
		"api-key: «abcdef0123456789»",
		`{"user": "bob", "password": "«hunter2»", "role": "x"}`,
		"password=«hunter2»",
		"psk = «hunter2hunter2»;",
		"<password>«hunter2»</password>",
		"<adminPassword>«hunter2»</adminPassword>",
		"PrivateKey = «FAKEfakeFAKEfake=»",
		"radius shared-secret encrypted «0011aabb»",
		"ike pre-shared-key ascii-text \"«abc»\"",
		"isis authentication-key md5 «abcdef»",
		"ntp authentication-key 7 md5 «fakefake»",
		"snmp-agent community read cipher «%^%#FAKE%^%#»",
		"set snmp community «fakecomm» ro",
		"rocommunity «fakecomm» default",
		"rwcommunity6 «fakecomm»",
		"copy scp://ops:«hunter2»@192.0.2.1/x",
		"backup ftp://ops:«p@ss»@192.0.2.1/x",
		"ops:«$6$FAKE$FAKEFAKE»:19000:0:99999:7:::",
		"login hash «$argon2id$FAKEFAKEFAKE»",
		"crypto key «fakefakefake»",
		"tacacs key 7 «0011aabb»",
		"vrrp password level 15 «fakefake»",
		"some credentials «abcdefgh»",
		"wireless security psk «12345678»",
		"admin password «12345»",
		"snmp-server user ops netops v3 auth sha «fakefake1» priv aes 128 «fakefake2» access 10",
		"snmp-server user ops netops remote 192.0.2.9 v3 encrypted auth md5 «01:02:03:04» priv des56 «05:06:07:08»",
		"snmp-server user ops netops v3 auth sha-512 encrypted «0011aabb» priv aes 256 encrypted «0011aabc» SystemOwner",
		`snmpv3 user "ops" auth sha "«fakefake1»" priv aes "«fakefake2»"`,
		"snmp-agent usm-user v3 ops netops authentication-mode sha «fakefake1» privacy-mode aes128 «fakefake2»",
		"configure snmpv3 add user ops authentication md5 hex «01:02:03» privacy des hex «05:06:07»",
		"set snmp usm user ops security-level authPriv auth-pass-phrase «fakefake1» privacy-pass-phrase «fakefake2» authentication-protocol SHA1",
		"snmp-server user ops netops auth-sha «fakefake1» priv-aes128 «fakefake2»",
		"snmp-server user ops auth-prot sha «fakefake1» priv-prot des «fakefake2»",
		"snmp-server host 192.0.2.8 traps version 2c «fakecomm» udp-port 162",
		"snmp-server host 192.0.2.8 version 1 «fakecomm»",
		"server 1 192.0.2.8 key encrypt «fakefake»",
		"radius-server host 192.0.2.8 secret secret-encrypted «fakefake==»",
		" ipv6 ospf encryption ipsec spi 256 esp aes-cbc 128 «0123456789abcdef» sha1 «0123456789abcdef0123»",
		" ospfv3 authentication ipsec spi 256 md5 7 «fakefake»",
		" encryption ipsec spi 257 esp 3des password «0011aabb» authentication sha1 clear «0123456789abcdef»",
		"set session-key inbound ah 429 «0123456789»",
		"sa string-key outbound esp «fakefake»",
		"mpls ldp password fallback 7 «0011aabb»",
		"security wpa2 psk pass-phrase «fakefake» aes",
		"pre-shared-key ckn abcd cak «0123456789abcdef»",
		"action bash curl -H \"Authorization: Bearer «fakefake1»\" https://192.0.2.1/x",
		`set value "Bearer «FAKEfakeFAKEfakeFAKEfake»"`,
		`set http-body "{\"user\":\"ops\",\"password\":\"«fakefake»\"}"`,
		"line before\n-----BEGIN RSA " + keyMark + "«\nFAKEFAKE\nFAKE=\n»-----END RSA PRIVATE KEY-----\nhostname r1",
		`key "-----BEGIN ` + keyMark + `«\nFAKE\n»-----END ` + keyMark + `"`,
		"«FAKE/\nFAKEfakeFAKEfakeFAKEfakeFAKEfakeFAKEfakeFAKE\nFAKE=\n»-----END RSA PRIVATE KEY-----\nhostname r1",
		"hostname r1\nend\n«FAKEfakeFAKEfakeFAKEfakeFAKEfakeFAKEfakeFAKE\nFAKE=\n»-----END PRIVATE KEY-----",
		"-----BEGIN OPENSSH " + keyMark + "«\nFAKEFAKE\ncut here»",
	} {
		want := marked.ReplaceAllString(text, mark)
		if got := string(Mask([]byte(unmarked(text)))); got != want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", unmarked(text), got, want)
		}
	}
}

// Words that look like it and announce no secret.
func TestMaskLeavesTheRestReadable(t *testing.T) {
	for _, text := range []string{
		"hostname r1",
		"snmp-server user ops netops v3",
		"snmp-server host 192.0.2.8 traps version 2c udp-port 1162",
		"snmp-server host 192.0.2.8 version 3 priv ops",
		"snmp-server group netops v3 priv read all",
		"snmp-server host 192.0.2.1 version 3 auth ops",
		"snmp-server user ops privgroup v3 auth-protocol none privacy none",
		"set security ipsec vpn v manual spi 256 protocol esp",
		"aaa authorization exec default group tacacs+ local",
		"http authentication basic required",
		"mpls ldp password fallback key-chain K",
		"service password-encryption",
		"password encryption aes",
		"no password",
		"username ops nopassword role admin",
		"password recovery disable",
		"password-policy minimum-length 12",
		"security passwords min-length 8",
		"key chain OSPF",
		" key 1",
		"key-chain K",
		"ip ssh pubkey-chain",
		"crypto key generate rsa modulus 2048",
		"username ops ssh-key ssh-rsa AAAAB3NzaC1yc2E ops@host",
		"host-key ssh-ed25519 AAAAC3",
		"public-key 0011aabb",
		"ntp trusted-key 1",
		"ntp server 192.0.2.1 key 7 prefer",
		"tunnel key 100000000",
		"neighbor 192.0.2.1 send-community both",
		"ip community-list standard CL permit 65000:1",
		"set community 65000:1 additive",
		"community CUSTOMERS members 65000:1;",
		"policer token-bucket 1000",
		"license keyfile flash:x",
		"monkey see",
		"url https://192.0.2.1:8443/path",
		"mailto:noc@example.net",
		"-----BEGIN CERTIFICATE-----",
		"The password must be changed every 90 days",
		"Access without a password is prohibited",
		"secret {",
		"password:",
		"Password: ",
		"key-exchange ecdh-sha2-nistp256",
		"price $5 and $6",
	} {
		if got := string(Mask([]byte(text))); got != text {
			t.Errorf("Mask(%q) = %q", text, got)
		}
	}
}

// A session masks what it quotes with the rules of the platform, too.
func TestDefinitionMasksWithItsRules(t *testing.T) {
	d, _ := definitions(t).ByName("cisco_ios")
	got := string(d.Mask([]byte(" standby 1 authentication fakefake\n")))
	if got != " standby 1 authentication ‹secret›\n" {
		t.Errorf("Mask() = %q", got)
	}
}
