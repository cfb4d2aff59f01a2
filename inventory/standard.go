package inventory

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"muster/collector/snmp"
	"muster/inventory/platform"
)

// standardFacts are what MIBs that every vendor may have say of a device, where
// no definition knew better: ENTITY-MIB of the chassis, then sysDescr.
func standardFacts(have []platform.Fact, r snmp.Reading) []platform.Fact {
	var facts []platform.Fact
	add := func(name, value, source string) {
		value = platform.Telling(value)
		if value == "" || factOf(have, name) != "" || factOf(facts, name) != "" || name == "serial" && !serialTells(value) {
			return
		}
		facts = append(facts, platform.Fact{Name: name, Value: value, Source: source})
	}
	if c, ok := outermost(r.Components); ok {
		add("serial", c.Serial, fmt.Sprintf("ENTITY-MIB::entPhysicalSerialNum.%d", c.Index))
		add("model", c.Model, fmt.Sprintf("ENTITY-MIB::entPhysicalModelName.%d", c.Index))
		add("version", c.Software, fmt.Sprintf("ENTITY-MIB::entPhysicalSoftwareRev.%d", c.Index))
	}
	if revision, row := oneRevision(r.Components); revision != "" {
		add("version", revision, fmt.Sprintf("ENTITY-MIB::entPhysicalSoftwareRev.%d", row))
	}
	told := readDescr(r.System.Descr)
	if r.System.Name != "" && strings.Contains(r.System.Descr, r.System.Name) {
		told.model = "" // a person may have named the device so
	}
	add("version", told.version, "SNMPv2-MIB::sysDescr.0")
	add("model", told.model, "SNMPv2-MIB::sysDescr.0")
	add("serial", told.serial, "SNMPv2-MIB::sysDescr.0")
	return facts
}

// outermost is the chassis, or what is contained in nothing where no row says that
// it is one: some agents leave out the class.
func outermost(components []snmp.Component) (c snmp.Component, ok bool) {
	for _, c := range components {
		if c.Class == "chassis" {
			return c, true
		}
	}
	for _, c := range components {
		if c.Parent == 0 && c.Class != "stack" && c.Serial+c.Model+c.Software != "" {
			return c, true
		}
	}
	return c, false
}

// oneRevision is the software revision that all rows agree on which tell one: the
// chassis itself often has none, its control module does. Where they differ, one
// may be that of a transceiver.
func oneRevision(components []snmp.Component) (revision string, row int32) {
	for _, c := range components {
		told := platform.Telling(c.Software)
		switch {
		case told == "":
		case revision == "":
			revision, row = told, c.Index
		case told != revision:
			return "", 0
		}
	}
	return revision, row
}

// What vendors write into sysDescr. A bare number says nothing: it may be the
// kernel's, the hardware's or part of a model.
const dotted = `(\w*\d+(?:\.\w+)+(?:[-_(]\w+(?:\.\w+)*\)?)*|V\d+R\d+\w*)`

var (
	labelledVersion = regexp.MustCompile(`(?i)\b(\w*)[ ,_-]*\b(?:version|ver|release|sw|fw|software|firmware)(?:[ _-]?(?:version|ver|revision|rev))?\b[ .:=,-]{0,3}(?:\w+[,-])?` + dotted)
	fastpathText    = regexp.MustCompile(`^([^,]+)(?:,[^,]+)?, *` + dotted + `, *(?:Linux|VxWorks|eCos)`) // model, version, kernel: Broadcom FASTPATH
	fourthRevision  = regexp.MustCompile(`\b[Rr]ev\.? (\d+(?:\.\d+){3,})\b`)                              // shorter ones are the hardware's
	shortVersion    = regexp.MustCompile(`(?:^|\s)(?:[vVR] ?)?` + dotted + `(?:\s|$)`)
	labelledSerial  = regexp.MustCompile(`(?i)\b(?:S/N|SN|serial(?:[ -]?(?:no\.?|number))?)[:=# ]{1,2}([A-Z0-9/-]*\d[A-Z0-9/-]*)`)

	// notSoftware is what else has versions, as the word before the label.
	notSoftware = regexp.MustCompile(`(?i)^(?:hw|hardware|h|boot\w*|btldr|kernel|fpga|cpld|bios|mib|agent|protocol|snmp|pcb|board)$`)
	// system are descriptions of a host's operating system, as uname prints them.
	system = regexp.MustCompile(`^(?:Linux|FreeBSD|OpenBSD|NetBSD|SunOS|Darwin|AIX|HP-UX|VxWorks|Hardware:|Windows)\b`)
)

const (
	fewWords    = 6 // of a description that is only the name of the box and its version
	fewLetters  = 60
	shortSerial = 5 // what is shorter may be a count
)

// described is what a sysDescr tells; empty: not told.
type described struct{ model, version, serial string }

func readDescr(descr string) (d described) {
	if m := labelledSerial.FindStringSubmatch(descr); m != nil && len(m[1]) >= shortSerial {
		d.serial = m[1]
	}
	text := strings.Trim(strings.TrimSpace(descr), `\"`)
	if m := fastpathText.FindStringSubmatch(text); m != nil {
		d.model, d.version = m[1], m[2]
		return d
	}
	for _, m := range labelledVersion.FindAllStringSubmatch(text, -1) {
		if !notSoftware.MatchString(m[1]) {
			d.version = m[2]
			break
		}
	}
	if m := fourthRevision.FindStringSubmatch(text); m != nil && d.version == "" {
		d.version = m[1]
	}
	if system.MatchString(text) || len(text) > fewLetters || len(strings.Fields(text)) > fewWords || strings.ContainsAny(text, ",;:\n") {
		return d
	}
	name := text
	all := shortVersion.FindAllStringSubmatchIndex(text, -1)
	if len(all) > 1 {
		return d
	}
	if len(all) == 1 {
		name = strings.TrimSpace(text[:all[0][0]])
		if d.version == "" {
			d.version = text[all[0][2]:all[0][3]]
		}
	}
	name = label.ReplaceAllString(name, "")
	if named.MatchString(name) && !generic.MatchString(name) {
		d.model = name
	}
	return d
}

var (
	label   = regexp.MustCompile(`(?i)[ ,-]*\b(?:version|ver|revision|rev|release|v)\.?$`)
	named   = regexp.MustCompile(`\pL.*\d|\d.*\pL`)                  // models have letters and digits
	generic = regexp.MustCompile(`(?i)\d[- ]?ports?\b|\d{7}|\d\.\d`) // "24-port switch", a serial number, a version
)

// vendorOf names the vendor that a sysObjectID belongs to; empty: not known. The
// agents of net-snmp and of UCD stand for whatever they run on.
func vendorOf(sysObjectID string) string {
	rest, ok := strings.CutPrefix(sysObjectID, "1.3.6.1.4.1.")
	if !ok {
		return ""
	}
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if err != nil {
		return ""
	}
	return enterprises[n]
}

// enterprises are vendors of network equipment by their number among IANA's private
// enterprise numbers (https://www.iana.org/assignments/enterprise-numbers): whoever
// holds it today, by the name that the definitions have.
var enterprises = map[int]string{
	2: "IBM", 9: "Cisco", 11: "HP", 42: "Oracle", 43: "3Com", 45: "Nortel", 52: "Enterasys", 63: "Apple", 94: "Nokia", 116: "Hitachi",
	119: "NEC", 161: "Motorola", 164: "RAD", 171: "D-Link", 193: "Ericsson", 207: "Allied Telesis", 211: "Fujitsu", 232: "HPE",
	236: "Samsung", 244: "Lantronix", 248: "Hirschmann", 253: "Xerox", 259: "Edgecore", 311: "Microsoft", 318: "APC", 332: "Digi",
	343: "Intel", 367: "Ricoh", 368: "Axis", 388: "Zebra", 476: "Vertiv", 534: "Eaton", 562: "Mitel", 629: "MRV", 637: "Nokia",
	641: "Lexmark", 664: "Adtran", 674: "Dell", 705: "Eaton", 789: "NetApp", 800: "Alcatel-Lucent Enterprise", 850: "Tripp Lite",
	868: "Transition Networks", 890: "Zyxel", 1182: "Yamaha", 1248: "Epson", 1347: "Kyocera", 1588: "Brocade (Broadcom)",
	1602: "Canon", 1718: "Server Technology", 1916: "Extreme Networks", 1991: "Ruckus", 2011: "Huawei", 2272: "Extreme Networks",
	2281: "Ceragon", 2352: "Ericsson", 2356: "LANCOM", 2435: "Brother", 2544: "ADVA", 2606: "Rittal", 2620: "Check Point",
	2636: "Juniper", 3076: "Cisco", 3097: "WatchGuard", 3224: "Juniper", 3320: "BDCOM", 3375: "F5", 3417: "Blue Coat", 3607: "Cisco",
	3902: "ZTE", 3955: "Linksys", 4329: "Siemens", 4413: "Broadcom", 4526: "Netgear", 4555: "Socomec", 4874: "Juniper",
	4881: "Ruijie", 5003: "AudioCodes", 5528: "NetBotz", 5651: "Maipu", 5951: "Citrix", 6027: "Dell", 6141: "Ciena", 6321: "Calix",
	6486: "Alcatel-Lucent Enterprise", 6527: "Nokia", 6574: "Synology", 6876: "VMware", 6889: "Avaya", 7779: "Infoblox", 8691: "Moxa",
	8741: "SonicWall", 8886: "Raisecom", 9148: "Oracle", 9303: "PacketLight", 9694: "Arbor", 10418: "Avocent", 10876: "Supermicro",
	11863: "TP-Link", 12148: "Eltek", 12356: "Fortinet", 12532: "Pulse Secure", 13191: "OneAccess", 13742: "Raritan", 14179: "Cisco",
	14525: "Juniper", 14823: "HPE Aruba", 14988: "MikroTik", 15004: "Siemens", 15497: "Cisco", 17163: "Riverbed", 17373: "Vertiv",
	17713: "Cambium Networks", 18334: "Konica Minolta", 20632: "Barracuda", 20916: "AVTECH", 21317: "ATEN", 22610: "A10 Networks",
	24681: "QNAP", 25049: "Opengear", 25053: "Ruckus", 25461: "Palo Alto Networks", 25506: "H3C", 26866: "Gigamon", 29671: "Cisco",
	30065: "Arista", 31926: "Siklu", 33049: "NVIDIA", 35098: "Pica8", 35265: "Eltex", 40310: "NVIDIA", 40482: "Pure Storage",
	41112: "Ubiquiti", 41263: "Nutanix", 41916: "Cisco (Viptela)", 43356: "Mimosa", 44641: "VyOS", 47196: "HPE Aruba",
	48690: "Teltonika", 52642: "FS.com",
}
