package platform

import (
	"slices"
	"strings"
)

// mibObjects are the objects that definitions may call by name. A table object
// is a column; a scalar needs its ".0" in the definition as it does in a MIB
// browser.
var mibObjects = map[string]string{
	"SNMPv2-MIB::sysDescr":    "1.3.6.1.2.1.1.1",
	"SNMPv2-MIB::sysObjectID": "1.3.6.1.2.1.1.2",
	"SNMPv2-MIB::sysName":     "1.3.6.1.2.1.1.5",

	// RFC 6933
	"ENTITY-MIB::entPhysicalDescr":       "1.3.6.1.2.1.47.1.1.1.1.2",
	"ENTITY-MIB::entPhysicalContainedIn": "1.3.6.1.2.1.47.1.1.1.1.4",
	"ENTITY-MIB::entPhysicalClass":       "1.3.6.1.2.1.47.1.1.1.1.5",
	"ENTITY-MIB::entPhysicalName":        "1.3.6.1.2.1.47.1.1.1.1.7",
	"ENTITY-MIB::entPhysicalHardwareRev": "1.3.6.1.2.1.47.1.1.1.1.8",
	"ENTITY-MIB::entPhysicalFirmwareRev": "1.3.6.1.2.1.47.1.1.1.1.9",
	"ENTITY-MIB::entPhysicalSoftwareRev": "1.3.6.1.2.1.47.1.1.1.1.10",
	"ENTITY-MIB::entPhysicalSerialNum":   "1.3.6.1.2.1.47.1.1.1.1.11",
	"ENTITY-MIB::entPhysicalModelName":   "1.3.6.1.2.1.47.1.1.1.1.13",

	"HOST-RESOURCES-MIB::hrSWInstalledName": "1.3.6.1.2.1.25.6.3.1.2", // RFC 2790

	"JUNIPER-MIB::jnxBoxDescr":                                        "1.3.6.1.4.1.2636.3.1.2",
	"JUNIPER-MIB::jnxBoxSerialNo":                                     "1.3.6.1.4.1.2636.3.1.3",
	"JUNIPER-VIRTUALCHASSIS-MIB::jnxVirtualChassisMemberSerialnumber": "1.3.6.1.4.1.2636.3.40.1.4.1.1.1.2",
	"JUNIPER-VIRTUALCHASSIS-MIB::jnxVirtualChassisMemberSWVersion":    "1.3.6.1.4.1.2636.3.40.1.4.1.1.1.5",

	"FORTINET-CORE-MIB::fnSysSerial":          "1.3.6.1.4.1.12356.100.1.1.1",
	"FORTINET-FORTIGATE-MIB::fgSysVersion":    "1.3.6.1.4.1.12356.101.4.1.1",
	"FORTINET-FORTIGATE-MIB::fgHaStatsSerial": "1.3.6.1.4.1.12356.101.13.2.1.1.2",

	"HUAWEI-ENTITY-EXTENT-MIB::hwEntitySystemModel":   "1.3.6.1.4.1.2011.5.25.31.6.5",
	"HH3C-ENTITY-EXT-MIB::hh3cEntityExtManuSerialNum": "1.3.6.1.4.1.25506.2.6.1.2.1.1.2",

	"PAN-COMMON-MIB::panSysSwVersion":    "1.3.6.1.4.1.25461.2.1.2.1.1",
	"PAN-COMMON-MIB::panSysSerialNumber": "1.3.6.1.4.1.25461.2.1.2.1.3",

	"EXTREME-SYSTEM-MIB::extremePrimarySoftwareRev": "1.3.6.1.4.1.1916.1.1.1.13",
	"EXTREME-SYSTEM-MIB::extremeSystemID":           "1.3.6.1.4.1.1916.1.1.1.16",

	"DELLEMC-OS10-CHASSIS-MIB::os10ChassisServiceTag": "1.3.6.1.4.1.674.11000.5000.100.4.1.1.3.1.7",

	"FOUNDRY-SN-AGENT-MIB::snAgImgVer":       "1.3.6.1.4.1.1991.1.1.2.1.11",
	"FOUNDRY-SN-AGENT-MIB::snChasSerNum":     "1.3.6.1.4.1.1991.1.1.1.1.2",
	"FOUNDRY-SN-AGENT-MIB::snChasUnitSerNum": "1.3.6.1.4.1.1991.1.1.1.4.1.1.2",

	"F5-BIGIP-SYSTEM-MIB::sysProductVersion":            "1.3.6.1.4.1.3375.2.1.4.2",
	"F5-BIGIP-SYSTEM-MIB::sysPlatformInfoMarketingName": "1.3.6.1.4.1.3375.2.1.3.5.2",
	"F5-BIGIP-SYSTEM-MIB::sysGeneralChassisSerialNum":   "1.3.6.1.4.1.3375.2.1.3.3.3",

	"AI-AP-MIB::aiVirtualControllerVersion": "1.3.6.1.4.1.14823.2.3.3.1.1.4",
	"AI-AP-MIB::aiAPSerialNum":              "1.3.6.1.4.1.14823.2.3.3.1.2.1.1.4",
	"AI-AP-MIB::aiAPModelName":              "1.3.6.1.4.1.14823.2.3.3.1.2.1.1.6",

	"ARUBAWIRED-VSFv2-MIB::arubaWiredVsfv2MemberSerialNum": "1.3.6.1.4.1.47196.4.1.1.3.15.1.2.1.7",

	"AT-RESOURCE-MIB::rscBoardName":         "1.3.6.1.4.1.207.8.4.4.3.21.1.1.4",
	"AT-RESOURCE-MIB::rscBoardSerialNumber": "1.3.6.1.4.1.207.8.4.4.3.21.1.1.8",

	"AT-SETUP-MIB::currSoftVersion": "1.3.6.1.4.1.207.8.4.4.4.500.2.1.1",

	"CISCOSB-DEVICEPARAMS-MIB::rndBrgVersion": "1.3.6.1.4.1.9.6.1.101.2.4",

	"CISCOSB-Physicaldescription-MIB::rlPhdUnitGenParamSoftwareVersion": "1.3.6.1.4.1.9.6.1.101.53.14.1.2",
	"CISCOSB-Physicaldescription-MIB::rlPhdUnitGenParamSerialNum":       "1.3.6.1.4.1.9.6.1.101.53.14.1.5",
	"CISCOSB-Physicaldescription-MIB::rlPhdUnitGenParamModelName":       "1.3.6.1.4.1.9.6.1.101.53.14.1.11",

	"F10-CHASSIS-MIB::chSerialNumber": "1.3.6.1.4.1.6027.3.1.1.1.2",

	"F10-S-SERIES-CHASSIS-MIB::chStackUnitSerialNumber":  "1.3.6.1.4.1.6027.3.10.1.2.2.1.12",
	"F10-S-SERIES-CHASSIS-MIB::chSysSwRuntimeImgVersion": "1.3.6.1.4.1.6027.3.10.1.2.8.1.1",

	"MELLANOX-EFM-MIB::serialNumber": "1.3.6.1.4.1.33049.2.1.1.1.2",

	"MIKROTIK-MIB::mtxrLicVersion":   "1.3.6.1.4.1.14988.1.1.4.4",
	"MIKROTIK-MIB::mtxrSerialNumber": "1.3.6.1.4.1.14988.1.1.7.3",
	"MIKROTIK-MIB::mtxrBoardName":    "1.3.6.1.4.1.14988.1.1.7.9",

	"NETGEAR-SWITCHING-MIB::agentInventoryMachineModel":    "1.3.6.1.4.1.4526.10.1.1.1.3",
	"NETGEAR-SWITCHING-MIB::agentInventorySerialNumber":    "1.3.6.1.4.1.4526.10.1.1.1.4",
	"NETGEAR-SWITCHING-MIB::agentInventorySoftwareVersion": "1.3.6.1.4.1.4526.10.1.1.1.13",

	"NETSWITCH-MIB::hpSwitchOsVersion": "1.3.6.1.4.1.11.2.14.11.5.1.1.3",

	"NG700-SWITCHING-MIB::agentInventoryMachineModel":    "1.3.6.1.4.1.4526.11.1.1.1.3",
	"NG700-SWITCHING-MIB::agentInventorySerialNumber":    "1.3.6.1.4.1.4526.11.1.1.1.4",
	"NG700-SWITCHING-MIB::agentInventorySoftwareVersion": "1.3.6.1.4.1.4526.11.1.1.1.13",

	"SEMI-MIB::hpHttpMgSerialNumber": "1.3.6.1.4.1.11.2.36.1.1.2.9",

	"SNWL-COMMON-MIB::snwlSysModel":           "1.3.6.1.4.1.8741.2.1.1.1",
	"SNWL-COMMON-MIB::snwlSysSerialNumber":    "1.3.6.1.4.1.8741.2.1.1.2",
	"SNWL-COMMON-MIB::snwlSysFirmwareVersion": "1.3.6.1.4.1.8741.2.1.1.3",

	"TIMETRA-CHASSIS-MIB::tmnxChassisTypeName": "1.3.6.1.4.1.6527.3.1.2.2.1.6.1.2",
	"TIMETRA-CHASSIS-MIB::tmnxHwSerialNumber":  "1.3.6.1.4.1.6527.3.1.2.2.1.8.1.5",

	"TPLINK-SYSINFO-MIB::tpSysInfoHwVersion": "1.3.6.1.4.1.11863.6.1.1.5",
	"TPLINK-SYSINFO-MIB::tpSysInfoSwVersion": "1.3.6.1.4.1.11863.6.1.1.6",
	"TPLINK-SYSINFO-MIB::tpSysInfoSerialNum": "1.3.6.1.4.1.11863.6.1.1.8",

	"WATCHGUARD-SYSTEM-MIB::wgSoftwareVersion": "1.3.6.1.4.1.3097.6.3.1",

	"WLSX-SYSTEMEXT-MIB::wlsxSysExtModelName":    "1.3.6.1.4.1.14823.2.2.1.2.1.3",
	"WLSX-SYSTEMEXT-MIB::wlsxSysExtSwVersion":    "1.3.6.1.4.1.14823.2.2.1.2.1.28",
	"WLSX-SYSTEMEXT-MIB::wlsxSysExtSerialNumber": "1.3.6.1.4.1.14823.2.2.1.2.1.29",

	// of vendors.yaml
	"ACD-DESC-MIB::acdDescCommercialName":                              "1.3.6.1.4.1.22420.1.1.1",
	"ACD-DESC-MIB::acdDescFirmwareVersion":                             "1.3.6.1.4.1.22420.1.1.4",
	"ACD-DESC-MIB::acdDescSerialNumber":                                "1.3.6.1.4.1.22420.1.1.6",
	"CHECKPOINT-MIB::svnVersion":                                       "1.3.6.1.4.1.2620.1.6.4.1",
	"CHECKPOINT-MIB::svnApplianceSerialNumber":                         "1.3.6.1.4.1.2620.1.6.16.3",
	"CHECKPOINT-MIB::svnApplianceProductName":                          "1.3.6.1.4.1.2620.1.6.16.7",
	"CISCO-STACK-MIB::chassisModel":                                    "1.3.6.1.4.1.9.5.1.2.16",
	"CISCO-STACK-MIB::chassisSerialNumberString":                       "1.3.6.1.4.1.9.5.1.2.19",
	"CISCO-UNIFIED-COMPUTING-COMPUTE-MIB::cucsComputeBoardModel":       "1.3.6.1.4.1.9.9.719.1.9.6.1.6",
	"CISCO-UNIFIED-COMPUTING-COMPUTE-MIB::cucsComputeBoardSerial":      "1.3.6.1.4.1.9.9.719.1.9.6.1.14",
	"CISCO-UNIFIED-COMPUTING-COMPUTE-MIB::cucsComputeRackUnitModel":    "1.3.6.1.4.1.9.9.719.1.9.35.1.32",
	"CISCO-UNIFIED-COMPUTING-COMPUTE-MIB::cucsComputeRackUnitSerial":   "1.3.6.1.4.1.9.9.719.1.9.35.1.47",
	"CPQSINFO-MIB::cpqSiSysSerialNum":                                  "1.3.6.1.4.1.232.2.2.2.1",
	"CPQSINFO-MIB::cpqSiProductName":                                   "1.3.6.1.4.1.232.2.2.4.2",
	"CPS-MIB::upsBaseIdentModel":                                       "1.3.6.1.4.1.3808.1.1.1.1.1.1",
	"CPS-MIB::upsAdvanceIdentFirmwareRevision":                         "1.3.6.1.4.1.3808.1.1.1.1.2.1",
	"CPS-MIB::ePDUIdentFirmwareRev":                                    "1.3.6.1.4.1.3808.1.1.3.1.3",
	"CPS-MIB::ePDUIdentModelNumber":                                    "1.3.6.1.4.1.3808.1.1.3.1.5",
	"CPS-MIB::ePDUIdentSerialNumber":                                   "1.3.6.1.4.1.3808.1.1.3.1.6",
	"Dell-Vendor-MIB::productIdentificationDisplayName":                "1.3.6.1.4.1.674.10895.3000.1.2.100.1",
	"Dell-Vendor-MIB::productIdentificationVersion":                    "1.3.6.1.4.1.674.10895.3000.1.2.100.4",
	"Dell-Vendor-MIB::productIdentificationSerialNumber":               "1.3.6.1.4.1.674.10895.3000.1.2.100.8.1.2",
	"FORTINET-FORTIADC-MIB::fadcSysModel":                              "1.3.6.1.4.1.12356.112.1.1",
	"FORTINET-FORTIADC-MIB::fadcSysSerial":                             "1.3.6.1.4.1.12356.112.1.2",
	"FORTINET-FORTIADC-MIB::fadcSysVersion":                            "1.3.6.1.4.1.12356.112.1.3",
	"FORTINET-FORTIAP-MIB::fapVersion":                                 "1.3.6.1.4.1.12356.120.1.1",
	"FORTINET-FORTIAP-MIB::fapSerialNum":                               "1.3.6.1.4.1.12356.120.1.2",
	"FORTINET-FORTIAUTHENTICATOR-MIB::facSysModel":                     "1.3.6.1.4.1.12356.113.1.1",
	"FORTINET-FORTIAUTHENTICATOR-MIB::facSysSerial":                    "1.3.6.1.4.1.12356.113.1.2",
	"FORTINET-FORTIAUTHENTICATOR-MIB::facSysVersion":                   "1.3.6.1.4.1.12356.113.1.3",
	"FORTINET-FORTIMAIL-MIB::fmlSysModel":                              "1.3.6.1.4.1.12356.105.1.1",
	"FORTINET-FORTIMAIL-MIB::fmlSysSerial":                             "1.3.6.1.4.1.12356.105.1.2",
	"FORTINET-FORTIMAIL-MIB::fmlSysVersion":                            "1.3.6.1.4.1.12356.105.1.3",
	"FORTINET-FORTISANDBOX-MIB::fsaSysVersion":                         "1.3.6.1.4.1.12356.118.3.1.1",
	"FORTINET-FORTISWITCH-MIB::fsSysVersion":                           "1.3.6.1.4.1.12356.106.4.1.1",
	"FORTINET-FORTIWEB-MIB::fwSysVersion":                              "1.3.6.1.4.1.12356.107.2.1.2",
	"GEIST-MIB-V3::productTitle":                                       "1.3.6.1.4.1.21239.2.1.1",
	"GEIST-MIB-V3::productVersion":                                     "1.3.6.1.4.1.21239.2.1.2",
	"GEIST-V4-MIB::productTitle":                                       "1.3.6.1.4.1.21239.5.1.1.1",
	"GEIST-V4-MIB::productVersion":                                     "1.3.6.1.4.1.21239.5.1.1.2",
	"HOST-RESOURCES-MIB::hrDeviceDescr":                                "1.3.6.1.2.1.25.3.2.1.3",
	"IB-PLATFORMONE-MIB::ibHardwareType":                               "1.3.6.1.4.1.7779.3.1.1.2.1.4",
	"IB-PLATFORMONE-MIB::ibSerialNumber":                               "1.3.6.1.4.1.7779.3.1.1.2.1.6",
	"IB-PLATFORMONE-MIB::ibNiosVersion":                                "1.3.6.1.4.1.7779.3.1.1.2.1.7",
	"IDRAC-MIB-SMIv2::racFirmwareVersion":                              "1.3.6.1.4.1.674.10892.5.1.1.8",
	"IDRAC-MIB-SMIv2::systemServiceTag":                                "1.3.6.1.4.1.674.10892.5.1.3.2",
	"IDRAC-MIB-SMIv2::systemModelName":                                 "1.3.6.1.4.1.674.10892.5.1.3.12",
	"IMM-MIB::immMachineSerial":                                        "1.3.6.1.4.1.2.3.51.3.1.5.2.1.3",
	"IMM-MIB::immMachineProductName":                                   "1.3.6.1.4.1.2.3.51.3.1.5.2.1.5",
	"LLDP-EXT-MED-MIB::lldpXMedLocSoftwareRev":                         "1.0.8802.1.1.2.1.5.4795.1.2.4",
	"LLDP-EXT-MED-MIB::lldpXMedLocSerialNum":                           "1.0.8802.1.1.2.1.5.4795.1.2.5",
	"LLDP-EXT-MED-MIB::lldpXMedLocModelName":                           "1.0.8802.1.1.2.1.5.4795.1.2.7",
	"MG-SNMP-UPS-MIB::upsmgIdentFirmwareVersion":                       "1.3.6.1.4.1.705.1.1.4",
	"MG-SNMP-UPS-MIB::upsmgIdentSerialNumber":                          "1.3.6.1.4.1.705.1.1.7",
	"MIMOSA-NETWORKS-BASE-MIB::mimosaSerialNumber":                     "1.3.6.1.4.1.43356.2.1.2.1.2",
	"MIMOSA-NETWORKS-BASE-MIB::mimosaFirmwareVersion":                  "1.3.6.1.4.1.43356.2.1.2.1.3",
	"NETWORK-APPLIANCE-MIB::productVersion":                            "1.3.6.1.4.1.789.1.1.2",
	"NETWORK-APPLIANCE-MIB::productModel":                              "1.3.6.1.4.1.789.1.1.5",
	"NETWORK-APPLIANCE-MIB::productSerialNum":                          "1.3.6.1.4.1.789.1.1.9",
	"NMS-CARD-MIB::nmscardDescr":                                       "1.3.6.1.4.1.3320.3.6.10.1.3",
	"NMS-CARD-MIB::nmscardSerial":                                      "1.3.6.1.4.1.3320.3.6.10.1.4",
	"NMS-CARD-MIB::nmscardSwVersion":                                   "1.3.6.1.4.1.3320.3.6.10.1.6",
	"Printer-MIB::prtGeneralSerialNumber":                              "1.3.6.1.2.1.43.5.1.1.17",
	"PULSESECURE-PSG-MIB::productName":                                 "1.3.6.1.4.1.12532.6",
	"PULSESECURE-PSG-MIB::productVersion":                              "1.3.6.1.4.1.12532.7",
	"RADLAN-Physicaldescription-MIB::rlPhdUnitGenParamSoftwareVersion": "1.3.6.1.4.1.89.53.14.1.2",
	"RADLAN-Physicaldescription-MIB::rlPhdUnitGenParamSerialNum":       "1.3.6.1.4.1.89.53.14.1.5",
	"RADLAN-Physicaldescription-MIB::rlPhdUnitGenParamModelName":       "1.3.6.1.4.1.89.53.14.1.11",
	"RMON2-MIB::probeSoftwareRev":                                      "1.3.6.1.2.1.16.19.2",
	"RMON2-MIB::probeHardwareRev":                                      "1.3.6.1.2.1.16.19.3",
	"RUCKUS-HWINFO-MIB::ruckusHwInfoModelNumber":                       "1.3.6.1.4.1.25053.1.1.2.1.1.1.1",
	"RUCKUS-HWINFO-MIB::ruckusHwInfoSerialNumber":                      "1.3.6.1.4.1.25053.1.1.2.1.1.1.2",
	"RUCKUS-UNLEASHED-SYSTEM-MIB::ruckusUnleashedSystemModel":          "1.3.6.1.4.1.25053.1.15.1.1.1.1.9",
	"RUCKUS-UNLEASHED-SYSTEM-MIB::ruckusUnleashedSystemSerialNumber":   "1.3.6.1.4.1.25053.1.15.1.1.1.1.15",
	"RUCKUS-UNLEASHED-SYSTEM-MIB::ruckusUnleashedSystemVersion":        "1.3.6.1.4.1.25053.1.15.1.1.1.1.18",
	"RUCKUS-ZD-SYSTEM-MIB::ruckusZDSystemModel":                        "1.3.6.1.4.1.25053.1.2.1.1.1.1.9",
	"RUCKUS-ZD-SYSTEM-MIB::ruckusZDSystemSerialNumber":                 "1.3.6.1.4.1.25053.1.2.1.1.1.1.15",
	"RUCKUS-ZD-SYSTEM-MIB::ruckusZDSystemVersion":                      "1.3.6.1.4.1.25053.1.2.1.1.1.1.18",
	"RUGGEDCOM-SYS-INFO-MIB::rcDeviceInfoSerialNumber":                 "1.3.6.1.4.1.15004.4.2.3.1",
	"RUGGEDCOM-SYS-INFO-MIB::rcDeviceInfoMainSwVersion":                "1.3.6.1.4.1.15004.4.2.3.3",
	"Sentry3-MIB::systemVersion":                                       "1.3.6.1.4.1.1718.3.1.1",
	"Sentry3-MIB::towerProductSN":                                      "1.3.6.1.4.1.1718.3.2.1.1.6",
	"Sentry3-MIB::towerModelNumber":                                    "1.3.6.1.4.1.1718.3.2.1.1.7",
	"Sentry4-MIB::st4SystemFirmwareVersion":                            "1.3.6.1.4.1.1718.4.1.1.1.3",
	"Sentry4-MIB::st4UnitModel":                                        "1.3.6.1.4.1.1718.4.1.2.2.1.5",
	"Sentry4-MIB::st4UnitProductSN":                                    "1.3.6.1.4.1.1718.4.1.2.2.1.6",
	"SILVERPEAK-MGMT-MIB::spsSystemVersion":                            "1.3.6.1.4.1.23867.3.1.1.1.1",
	"SILVERPEAK-MGMT-MIB::spsProductModel":                             "1.3.6.1.4.1.23867.3.1.1.1.2",
	"SILVERPEAK-MGMT-MIB::spsSystemSerial":                             "1.3.6.1.4.1.23867.3.1.1.1.6",
	"STEELHEAD-MIB::model":                                             "1.3.6.1.4.1.17163.1.1.1.1",
	"STEELHEAD-MIB::serialNumber":                                      "1.3.6.1.4.1.17163.1.1.1.2",
	"STEELHEAD-MIB::systemVersion":                                     "1.3.6.1.4.1.17163.1.1.1.3",
	"STORMSHIELD-PROPERTY-MIB::snsModel":                               "1.3.6.1.4.1.11256.1.18.1",
	"STORMSHIELD-PROPERTY-MIB::snsVersion":                             "1.3.6.1.4.1.11256.1.18.2",
	"STORMSHIELD-PROPERTY-MIB::snsSerialNumber":                        "1.3.6.1.4.1.11256.1.18.3",
	"SYNOLOGY-SYSTEM-MIB::modelName":                                   "1.3.6.1.4.1.6574.1.5.1",
	"SYNOLOGY-SYSTEM-MIB::serialNumber":                                "1.3.6.1.4.1.6574.1.5.2",
	"SYNOLOGY-SYSTEM-MIB::version":                                     "1.3.6.1.4.1.6574.1.5.3",
	"UBNT-UniFi-MIB::unifiApSystemModel":                               "1.3.6.1.4.1.41112.1.6.3.3",
	"UBNT-UniFi-MIB::unifiApSystemVersion":                             "1.3.6.1.4.1.41112.1.6.3.6",
	"UPS-MIB::upsIdentModel":                                           "1.3.6.1.2.1.33.1.1.2",
	"UPS-MIB::upsIdentAgentSoftwareVersion":                            "1.3.6.1.2.1.33.1.1.4",
	"VMWARE-SYSTEM-MIB::vmwProdVersion":                                "1.3.6.1.4.1.6876.1.2",
}

// enumerations give the numbers of an object's named values.
var enumerations = map[string]map[string]string{
	"ENTITY-MIB::entPhysicalClass": {
		"other": "1", "unknown": "2", "chassis": "3", "backplane": "4", "container": "5",
		"powerSupply": "6", "fan": "7", "sensor": "8", "module": "9", "port": "10", "stack": "11", "cpu": "12",
	},
}

func mibNames() []string {
	var names []string
	for n := range mibObjects {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// oidOf resolves MIB::object, with or without an index behind it.
func oidOf(name string) (string, bool) {
	mib, rest, ok := strings.Cut(name, "::")
	if !ok {
		return "", false
	}
	object, idx, indexed := strings.Cut(rest, ".")
	oid, ok := mibObjects[mib+"::"+object]
	if ok && indexed {
		oid += "." + idx
	}
	return oid, ok && (!indexed || oidRE.MatchString(oid))
}
