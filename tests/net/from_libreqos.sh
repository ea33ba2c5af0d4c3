#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# LibreQoS's configuration of every age becomes an lqos.ini that lqosd takes.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DIR=$(mktemp -d) || exit 1
trap 'rm -rf "$DIR"' EXIT
cp "$NET_TOP/etc/ShapedDevices.csv" "$NET_TOP/etc/network.json" "$DIR"

# becomes DESCRIPTION EXPECTED [ARGUMENT...]: of what is in DIR/lqos.conf, the
# settings of interfaces and queues.
becomes()
{
	local description=$1 expected=$2

	shift 2
	"$NET_TOP/etc/from_libreqos" "$DIR/lqos.conf" "$@" \
		>"$DIR/lqos.ini" 2>"$DIR/errors"
	is "$description" \
		"$(grep -E '^(to_|bridge|vlans|queues|exclude)' "$DIR/lqos.ini" |
			tr -d ' ' | paste -sd ' ')" "$expected"
	check "$description: lqosd takes it" \
		"$ROOT/sbin/lqosd" -t -c "$DIR/lqos.ini"
}

[ -x "$ROOT/sbin/lqosd" ] ||
	bail "LQOS_ROOT is \"$ROOT\": no sbin/lqosd in there"
plan 19

cat >"$DIR/lqos.conf" <<END
version = "1.5"
lqos_directory = "$DIR"
[bridge]
use_xdp_bridge = false
to_internet = "eth0"
to_network = "eth1"
END
becomes "v2, a Linux bridge" "to_internet=eth0 to_subscribers=eth1 bridge=linux"
is "... and the subscribers are those of LibreQoS" \
	"$("$ROOT/sbin/lqosd" -t -c "$DIR/lqos.ini" 2>&1 |
		grep -o '20 circuits')" "20 circuits"

sed -i 's/false/true # quick/' "$DIR/lqos.conf"
becomes "v2, an XDP bridge" "to_internet=eth0 to_subscribers=eth1 bridge=xdp"

cat >"$DIR/lqos.conf" <<END
version = "1.5"
lqos_directory = "$DIR"
exclude_efficiency_cores = false
[queues]
override_available_queues = 4
[single_interface]
interface = "eth9"
internet_vlan = 2
network_vlan = 3
END
becomes "v2, on a stick" \
	"to_internet=eth9 to_subscribers=eth9 vlans=2:3 exclude_efficiency_cores=no queues=4"

cat >"$DIR/lqos.conf" <<END
lqos_directory = '$DIR'
[tuning]
disable_offload = [ "gso", "tso", "lro", "sg", "gro" ]
END
cat >"$DIR/ispConfig.py" <<END
sqm = 'cake diffserv4'
interfaceA = 'eth1' # to the core router
interfaceB = 'eth2'
OnAStick = False
queuesAvailableOverride = 0
httpRestIntegrationConfig = {
    'enabled': False, # {
    'requestsConfig': {
        'verify': True,
    },
}
END
becomes "v1.4, a Linux bridge" "to_internet=eth2 to_subscribers=eth1 bridge=linux"
is "... and nothing is doubtful" "$(<"$DIR/errors")" ""

cat >>"$DIR/lqos.conf" <<END
[bridge]
use_xdp_bridge = true
interface_mapping = [
       { name = "eth1", redirect_to = "eth2", scan_vlans = false }, # {
       { name = "eth2", redirect_to = "eth1", scan_vlans = false },
       { name = "eth3", redirect_to = "eth4", scan_vlans = false },
       { name = "eth4", redirect_to = "eth3", scan_vlans = false }
]
vlan_mapping = []
END
becomes "v1.4, two pairs" \
	"to_internet=eth2,eth4 to_subscribers=eth1,eth3 bridge=xdp"
like "... of which one is a guess, and says so" "$(<"$DIR/errors")" \
	"eth3 and eth4: .* check it"

cat >"$DIR/lqos.conf" <<END
lqos_directory = '$DIR'
[bridge]
use_xdp_bridge = true
interface_mapping = [ { name = "eth1", redirect_to = "eth1", scan_vlans = true } ]
vlan_mapping = [
         { parent = "eth1", tag = 3, redirect_to = 4 },
         { parent = "eth1", tag = 4, redirect_to = 3 },
         { parent = "eth1", tag = 5, redirect_to = 6 },
         { parent = "eth1", tag = 6, redirect_to = 5 }
]
END
becomes "v1.4, two pairs of VLANs on a stick" \
	"to_internet=eth1 to_subscribers=eth1 vlans=3:4,5:6"

printf 'OnAStick = True\ninterfaceA = "eth7"\nStickVlanA = 10\nStickVlanB = 20\n' \
	>"$DIR/ispConfig.py"
becomes "v1.4, ispConfig.py alone on a stick" \
	"to_internet=eth7 to_subscribers=eth7 vlans=20:10" "$DIR/ispConfig.py"

echo 'lqos_directory = "/nowhere"' >"$DIR/lqos.conf"
like "no interfaces: it says so" \
	"$("$NET_TOP/etc/from_libreqos" "$DIR/lqos.conf" 2>&1)" \
	"lqos.conf: no interfaces in it"
like "no file: it says so" \
	"$("$NET_TOP/etc/from_libreqos" "$DIR/none" 2>&1)" \
	"none: cannot read it"
