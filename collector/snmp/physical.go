package snmp

import (
	"cmp"
	"slices"
	"strings"
)

// components makes rows of entPhysicalTable.
func (s *Session) components() []Component {
	rows := map[int32]*Component{}
	row := func(index string) *Component {
		n, ok := rowIndex(index)
		if !ok {
			return &Component{}
		}
		if rows[n] == nil {
			rows[n] = &Component{Index: n}
		}
		return rows[n]
	}
	s.eachText(physicalColumns[0], func(i, v string) { row(i).Descr = v })
	s.eachNumber(physicalColumns[1], func(i string, n int64) { row(i).Parent = int32(min(max(n, 0), 1<<31-1)) })
	s.eachNumber(physicalColumns[2], func(i string, n int64) { row(i).Class = named(physicalClasses, n) })
	s.eachText(physicalColumns[3], func(i, v string) { row(i).Name = v })
	s.eachText(physicalColumns[4], func(i, v string) { row(i).Firmware = v })
	s.eachText(physicalColumns[5], func(i, v string) { row(i).Software = v })
	s.eachText(physicalColumns[6], func(i, v string) { row(i).Serial = v })
	s.eachText(physicalColumns[7], func(i, v string) { row(i).Model = v })

	list := make([]Component, 0, len(rows))
	for _, r := range rows {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Component) int { return cmp.Compare(a.Index, b.Index) })
	return list
}

// vlans makes rows of all tables that tell VLANs. Names are the static table's, or
// its successor's or CISCO-VTP-MIB's where it has none; dot1qVlanCurrentTable adds
// the VLANs that were learned.
func (s *Session) vlans() []VLAN {
	names := map[int32]string{}
	note := func(index, name string) {
		if n, ok := rowIndex(index); ok && n <= 4094 && (name != "" || names[n] == "") {
			names[n] = name
		}
	}
	s.eachText(vlanColumns[0], note)
	s.eachNumber(vlanColumns[1], func(i string, _ int64) { note(i, "") })

	last := func(index string) string { return index[strings.LastIndexByte(index, '.')+1:] }
	if len(names) == 0 {
		// ieee8021QBridgeVlanStaticComponentId, …VlanIndex
		s.eachText(ieeeVLANColumns[0], func(i, name string) { note(last(i), name) })
	}
	if len(names) == 0 {
		// 1002 to 1005 are there by default for FDDI and Token Ring, media that no
		// port has; an agent that withholds the type tells of VLANs all the same.
		const ethernet = 1 // vtpVlanType
		foreign := map[string]bool{}
		s.eachNumber(vtpColumns[1], func(i string, kind int64) { foreign[i] = kind != ethernet })
		vtp := func(i, name string) { // managementDomainIndex, vtpVlanIndex
			if !foreign[i] {
				note(last(i), name)
			}
		}
		s.eachNumber(vtpColumns[0], func(i string, _ int64) { vtp(i, "") })
		s.eachText(vtpColumns[2], vtp)
	}
	for _, c := range vlanNowColumns {
		// dot1qVlanTimeMark, dot1qVlanIndex: one VLAN may have rows of several times
		s.eachNumber(c, func(i string, _ int64) { note(last(i), "") })
	}

	list := make([]VLAN, 0, len(names))
	for id, name := range names {
		list = append(list, VLAN{ID: int(id), Name: name})
	}
	slices.SortFunc(list, func(a, b VLAN) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
