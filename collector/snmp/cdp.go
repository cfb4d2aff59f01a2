package snmp

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The two ways in which Cisco devices put a serial number beside their name:
// NX-OS writes name(SERIAL), CatOS SERIAL(name).
var (
	cdpPairRE      = regexp.MustCompile(`^([^()]+)\(([^()]+)\)$`)
	cdpSerialRE    = regexp.MustCompile(`^[A-Z0-9]{8,16}$`)
	ciscoSerialRE  = regexp.MustCompile(`^[A-Z]{3}\d{4}[A-Z0-9]{4}$`) // site, year and week, number
	cdpDottedMACRE = regexp.MustCompile(`^(?:[0-9A-Fa-f]{12}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2})$`)
)

// cdpRemote is a row of CISCO-CDP-MIB::cdpCacheTable.
type cdpRemote struct {
	ifIndex, device         uint32 // cdpCacheIfIndex, cdpCacheDeviceIndex
	addressType             int64
	address, id             string
	version, port, platform string
	sysName                 string
}

// cdpNeighbors makes neighbors of cdpCacheTable. A row without a device ID and a
// port says nothing and is left out: rows that expire are answered in pieces.
func (s *Session) cdpNeighbors(interfaces []Interface) []Neighbor {
	rows := map[string]*cdpRemote{}
	row := func(index string) *cdpRemote {
		if rows[index] == nil {
			rows[index] = &cdpRemote{}
			if ids, ok := subIDs(index); ok && len(ids) == 2 {
				rows[index].ifIndex, rows[index].device = ids[0], ids[1]
			}
		}
		return rows[index]
	}
	s.eachNumber(cdpColumns[0], func(i string, n int64) { row(i).addressType = n })
	s.eachBytes(cdpColumns[1], func(i, v string) { row(i).address = v })
	s.eachText(cdpColumns[2], func(i, v string) { row(i).version = v })
	s.eachBytes(cdpColumns[3], func(i, v string) { row(i).id = v })
	s.eachText(cdpColumns[4], func(i, v string) { row(i).port = v })
	s.eachText(cdpColumns[5], func(i, v string) { row(i).platform = v })
	s.eachText(cdpColumns[6], func(i, v string) { row(i).sysName = v })

	list := make([]*cdpRemote, 0, len(rows))
	for _, r := range rows {
		if r.ifIndex != 0 && r.ifIndex <= 1<<31-1 && (strings.Trim(r.id, "\x00 ") != "" || r.port != "") {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *cdpRemote) int {
		return cmp.Or(cmp.Compare(a.ifIndex, b.ifIndex), cmp.Compare(a.device, b.device))
	})
	known := newPortIndex(interfaces)
	neighbors := make([]Neighbor, 0, len(list))
	for _, r := range list {
		n := Neighbor{Protocol: "cdp", LocalIfIndex: int32(r.ifIndex), LocalPort: strconv.FormatUint(uint64(r.ifIndex), 10), RemotePort: r.port}
		if i := known.byIndex[n.LocalIfIndex]; i != nil {
			n.LocalPort = i.Name
		}
		n.RemoteSysName, n.RemoteChassisID = cdpDeviceID(r.id)
		if n.RemoteSysName == "" {
			n.RemoteSysName = r.sysName
		}
		if n.RemoteSysName == "" {
			n.RemoteSysName = cdpAddress(r.addressType, r.address)
		}
		n.RemoteSysDescr = strings.TrimPrefix(strings.TrimSuffix(r.platform+", "+r.version, ", "), ", ")
		neighbors = append(neighbors, n)
	}
	return neighbors
}

// cdpDeviceID splits a cdpCacheDeviceId into the name of a device and what
// identifies its chassis: a serial number or a MAC, where the ID tells one.
func cdpDeviceID(id string) (name, chassis string) {
	if len(id) == 6 && !printable(id) {
		return "", ownMAC(id)
	}
	if cdpDottedMACRE.MatchString(id) {
		mac, _ := hex.DecodeString(strings.ReplaceAll(id, ".", "")) // the pattern lets hex through only
		return "", ownMAC(string(mac))
	}
	id = strings.TrimSpace(identifier(id))
	pair := cdpPairRE.FindStringSubmatch(id)
	switch {
	case pair == nil:
		return id, ""
	case ciscoSerialRE.MatchString(pair[1]):
		return pair[2], pair[1]
	case cdpSerialRE.MatchString(pair[2]):
		return pair[1], pair[2]
	}
	return id, ""
}

// cdpAddress writes a cdpCacheAddress of a CiscoNetworkProtocol (CISCO-TC: 1 is
// ip, 20 is ipv6); "" where it is none, or no device has it.
func cdpAddress(protocol int64, octets string) string {
	if protocol == 1 && len(octets) != 4 || protocol == 20 && len(octets) != 16 || protocol != 1 && protocol != 20 {
		return ""
	}
	ip, _ := netip.AddrFromSlice([]byte(octets))
	if ip.IsUnspecified() {
		return ""
	}
	return ip.String()
}
