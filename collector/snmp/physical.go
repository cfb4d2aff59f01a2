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

// vlans makes rows of dot1qVlanStaticTable, or of its successor where that is all
// there is.
func (s *Session) vlans() []VLAN {
	names := map[int32]string{}
	note := func(index, name string) {
		if n, ok := rowIndex(index); ok && n <= 4094 && (name != "" || names[n] == "") {
			names[n] = name
		}
	}
	s.eachText(vlanColumns[0], note)
	s.eachNumber(vlanColumns[1], func(i string, _ int64) { note(i, "") })

	if len(names) == 0 {
		s.eachText(ieeeVLANColumns[0], func(i, name string) {
			_, vlan, _ := strings.Cut(i, ".") // ieee8021QBridgeVlanStaticComponentId, …VlanIndex
			note(vlan, name)
		})
	}

	list := make([]VLAN, 0, len(names))
	for id, name := range names {
		list = append(list, VLAN{ID: int(id), Name: name})
	}
	slices.SortFunc(list, func(a, b VLAN) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
