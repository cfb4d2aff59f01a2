package inventory

import (
	"fmt"
	"slices"

	"muster/collector"
	"muster/inventory/platform"
)

// passwordsMay says whether passwords may be sent to dev at all. bound is true
// where only credentials may that a person bound to the very device or its
// address; why is what stands in the way, with the mend.
func passwordsMay(dev Device, sc Scope, keys []Key, snmpKind collector.CredentialKind, creds []collector.Credential) (may, bound bool, why string) {
	// Telnet shows no host key: a pinned one says nothing about who answers there.
	pinned := sc.TelnetPort == 0 && slices.ContainsFunc(keys, func(k Key) bool { return k.State == KeyPinned && k.ByPerson })
	ownCredential := slices.ContainsFunc(creds, func(c collector.Credential) bool {
		return c.Name == dev.Credential || c.BoundTo(dev.Address)
	})
	switch sc.PasswordsTo {
	case ToAny:
		return true, false, ""
	case ToAuthenticated:
		if snmpKind == collector.KindSNMPv3 || pinned {
			return true, false, ""
		}
		if sc.TelnetPort != 0 {
			return false, false, fmt.Sprintf("scope %s sends passwords only to devices that SNMPv3 authenticates, since telnet has no host key. Give the scope an snmp-v3 credential", sc.Name)
		}
		return false, false, fmt.Sprintf("scope %s sends passwords only to devices that SNMPv3 or a pinned key authenticates. "+
			"Give the scope an snmp-v3 credential, or pin the key: muster device allow %[2]s shows it first, muster device accept-key --known-hosts FILE %[2]s knows it already", sc.Name, dev.Name)
	}
	if dev.Identified || dev.AddedByPerson || pinned {
		return true, false, ""
	}
	if ownCredential {
		return true, true, ""
	}
	if sc.TelnetPort != 0 {
		return false, false, fmt.Sprintf("SNMP does not prove what %[1]s is, and telnet has no host key, so no password goes there. "+
			"Bind a credential to its address (for: [%[2]s]), or give it one (muster device set %[1]s --credential NAME)", dev.Name, dev.Address)
	}
	return false, false, fmt.Sprintf("SNMP does not prove what %[1]s is, so no password goes there. Say yes to the host key that it shows (muster device allow %[1]s), "+
		"or bind a credential to its address (for: [%[2]s]), or give it one (muster device set %[1]s --credential NAME)",
		dev.Name, dev.Address)
}

// platformMay says whether a session may be opened on a platform that is only
// declared.
func platformMay(def *platform.Definition, sc Scope) (bool, string) {
	if def == nil || def.Evidence.Kind != platform.Declared || sc.Declared {
		return true, ""
	}
	return false, fmt.Sprintf("platform %s is known from documents only and has not been proved on a real device. "+
		"Write declared: allow into scope %s to use it", def.Name, sc.Name)
}

// order lists the credentials that may be tried at dev: the one that a person
// gave it, alone; else the scope's, where their `for` fits, the last that worked
// first. bound leaves out those that no person bound to the device.
func order(dev Device, creds []collector.Credential, bound bool) []collector.Credential {
	var list []collector.Credential
	for _, c := range creds {
		switch {
		case c.Kind != collector.KindSSH || !c.Fits(dev.Address):
		case dev.Credential != "" && c.Name != dev.Credential:
		case bound && c.Name != dev.Credential && !c.BoundTo(dev.Address):
		case c.Name == dev.SSHCredential:
			list = slices.Insert(list, 0, c)
		default:
			list = append(list, c)
		}
	}
	return list
}
