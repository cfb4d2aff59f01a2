package inventory

import "strings"

// aliases are the names by which other tools know our platforms, for files that
// were theirs. Sources: the models of Oxidized 0.36 (lib/oxidized/model and its
// default model_map), the device types of RANCID 3 (router.db(5),
// rancid.types.base) and the device_types of Netmiko 4. A name that several
// platforms go by stands at the commonest; platforms that muster has no
// definition of yet are here too, so that a file can be told so by name.
var aliases = map[string]string{
	"a10_acos":              "acos a10",
	"adtran_aos":            "adtran adtran_os",
	"adva_fsp150":           "adva adva_fsp150f2 adva_fsp150f3",
	"alcatel_aos6":          "aos",
	"alcatel_aos8":          "aos7 alcatel_aos",
	"alliedtelesis_awplus":  "awplus allied_telesis_awplus",
	"apc_nmc":               "apcaos apc_aos",
	"arista_eos":            "eos arista",
	"arris_cmts":            "c4cmts arris_cer",
	"aruba_aoscx":           "aoscx",
	"aruba_instant":         "arubainstant",
	"aruba_os":              "aosw",
	"avocent_acs":           "avocent",
	"brocade_fos":           "fabricos",
	"brocade_netiron":       "extreme_netiron",
	"broadcom_efos":         "efos broadcom_icos",
	"calix_axos":            "axos",
	"cambium_epmp":          "cambiumepmp",
	"casa_cmts":             "casa",
	"checkpoint_gaia":       "gaiaos",
	"ciena_saos":            "saos",
	"ciena_saos10":          "saos10",
	"cisco_aireos":          "aireos cisco_wlc cisco-wlc4 cisco-wlc5 cisco-wlc8",
	"cisco_asa":             "asa cisco-asa",
	"cisco_asyncos":         "asyncos",
	"cisco_ftd":             "firelinuxos",
	"cisco_fxos":            "fxos",
	"cisco_ios":             "ios cisco",
	"cisco_iosxe":           "iosxe cisco_xe",
	"cisco_iosxr":           "iosxr cisco_xr cisco-xr cisco-xr7",
	"cisco_nxos":            "nxos cisco-nx",
	"cisco_sdwan":           "viptela cisco_viptela",
	"cisco_smb":             "ciscosmb cisco-sb cisco_s300 cisco_s200",
	"cisco_ucs":             "ucs",
	"citrix_netscaler":      "netscaler",
	"cumulus_linux":         "cumulus",
	"dell_os10":             "os10 dnos10",
	"dell_os6":              "os6",
	"dell_os9":              "ftos force10 dnos9 dell_force10 dell_dnos9",
	"dell_powerconnect":     "powerconnect dellx dell",
	"dlink_nextgen":         "dlinknextgen",
	"dlink_xstack":          "dlink dlink_ds",
	"eaton_network_card":    "eatonnetwork",
	"edgecore_ecs":          "edgecos",
	"eltex_mes":             "eltex",
	"ericsson_ipos":         "ipos redback",
	"extreme_ers":           "boss avaya_ers",
	"extreme_exos":          "xos exos extreme",
	"extreme_slx":           "slxos nos extreme_nos extreme_vdx",
	"extreme_voss":          "voss extreme_vsp avaya_vsp",
	"f5_tmos":               "tmos f5 bigip bigip13 f5_tmsh f5_ltm",
	"fortinet_fortimanager": "fortimanager fortianalyzer",
	"fortinet_fortios":      "fortigate fortios fortinet fortigate-full fortigate-one",
	"fs_fsos":               "fsos fiberstore_fsos fiberstore_fsosv2",
	"garderos":              "garderos_grs",
	"h3c_comware":           "comware h3c hp_comware",
	"hirschmann_hios":       "hios",
	"hp_procurve":           "procurve hp aruba_osswitch",
	"huawei_smartax":        "smartax huawei_olt",
	"huawei_vrp":            "vrp huawei huawei_vrpv8",
	"infinera_groove":       "coriantgroove corianttmos",
	"juniper_junos":         "junos juniper juniper-srx",
	"juniper_screenos":      "screenos netscreen",
	"linux_host":            "linuxgeneric linux",
	"mellanox_onyx":         "mlnxos mellanox mellanox_mlnxos",
	"mikrotik_routeros":     "routeros mikrotik",
	"moxa_eds":              "moxa-etherdevice",
	"netgear_prosafe":       "netgear",
	"nokia_srlinux":         "nokia_srl",
	"nokia_sros":            "sros alcatel_sros",
	"nokia_sros_md":         "srosmd sros-md",
	"opengear":              "opengear",
	"openwrt":               "openwrt",
	"opnsense":              "opnsense",
	"paloalto_panos":        "panos panos_api paloalto",
	"perle_iolan":           "perle",
	"pfsense":               "pfsense",
	"planet_switch":         "planet",
	"ruckus_fastiron":       "fastiron ironware foundry brocade_fastiron",
	"ruckus_zonedirector":   "ruckus_unleashed",
	"ruijie_rgos":           "rgos ruijie_os",
	"siklu_etherhaul":       "siklu",
	"sonic":                 "enterprise_sonic asternos dell_sonic edgecore_sonic",
	"sonicwall_sonicos":     "sonicos",
	"teltonika_rutos":       "rutos",
	"tplink_jetstream":      "tplink",
	"ubiquiti_airos":        "airos airfiber",
	"ubiquiti_edgeos":       "edgeos edgerouter edgemax ubiquiti_edgerouter",
	"ubiquiti_edgeswitch":   "edgeswitch",
	"ubiquiti_unifi":        "unifiap ubiquiti_unifiswitch",
	"vyos":                  "vyos vyatta",
	"watchguard_fireware":   "firewareos",
	"zte_olt":               "zteolt",
	"zte_zxr10":             "zte zte_zxros",
	"zyxel_gs1900":          "zynosgs",
	"zyxel_zynos":           "zynos zynoscli zynosmgs zyxel_os",
}

// aliasOf returns the platform that other tools call by this name; "" where none
// is.
func aliasOf(word string) string {
	for platform, names := range aliases {
		for _, name := range strings.Fields(names) {
			if strings.EqualFold(name, word) {
				return platform
			}
		}
	}
	return ""
}
