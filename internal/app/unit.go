package app

import (
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"muster/internal/settings"
)

// Unit is a hardened systemd unit for muster serve, for the places of the system
// where no others are given. The account that serves reads the master key as a
// systemd credential, so that its file stays root's alone.
func Unit(o Options) (string, error) {
	if beside := filepath.Join(o.Dir, "muster.yaml"); o.Config == "" && o.Dir != "" && isFile(beside) {
		o.Config = beside // as every verb takes it
	}
	if o.Dir == "" {
		o.Dir = "/var/lib/muster"
	}
	if o.Config == "" {
		o.Config = "/etc/muster/muster.yaml"
	}
	o, err := o.withDefaults()
	if err != nil {
		return "", err
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if o.Key == "" {
		o.Key = filepath.Join(filepath.Dir(o.Config), "muster.key")
		if set, err := settings.Load(o.Config, settings.Options{}); err == nil && set.Key != "" {
			o.Key = set.Key // where muster init put it
		}
	}
	if o.Key, err = filepath.Abs(o.Key); err != nil {
		return "", err
	}
	places := struct {
		Exe, Dir, Config, Key, ConfigDir string
		State, Home                      bool
	}{exe, o.Dir, o.Config, o.Key, filepath.Dir(o.Config), o.Dir == "/var/lib/muster", false}
	for _, p := range []string{exe, o.Dir, o.Config} {
		places.Home = places.Home || strings.HasPrefix(p, "/home/") || strings.HasPrefix(p, "/root/")
	}
	var b strings.Builder
	err = unit.Execute(&b, places)
	return b.String(), err
}

var unit = template.Must(template.New("muster.service").Parse(`# /etc/systemd/system/muster.service
#
#   useradd --system --home-dir {{.Dir}} --shell /usr/sbin/nologin muster
#   chown -R muster: {{.Dir}}
{{- if ne .ConfigDir .Dir}}
#   chgrp muster {{.ConfigDir}} {{.Config}} && chmod 750 {{.ConfigDir}} && chmod 640 {{.Config}}
{{- end}}
#   systemctl daemon-reload && systemctl enable --now muster
#
# The master key stays root's: systemd hands it to the service. Commands run as
# root reach the service over its socket.
[Unit]
Description=muster, the roll call of the network
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
User=muster
ExecStart={{.Exe}} --dir {{.Dir}} --config {{.Config}} --key %d/muster.key serve
ExecReload=/bin/kill -HUP $MAINPID
LoadCredential=muster.key:{{.Key}}
Restart=on-failure
TimeoutStopSec=90
{{- if .State}}
StateDirectory=muster
StateDirectoryMode=0700
{{- else}}
ReadWritePaths={{.Dir}}
{{- end}}
UMask=0077
# Unprivileged ICMP needs net.ipv4.ping_group_range; muster does without where it is closed.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={{if .Home}}read-only{{else}}yes{{end}}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`))
