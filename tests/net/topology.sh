#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every topology with every encapsulation: hosts talk TCP and UDP on real
# sockets through tags, PPPoE and MPLS, with IP options, extension headers and
# in fragments.  It has to arrive as it was sent, and each packet and byte is
# its subscriber's, on his CPU and in his class.

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CPUS=$(lab_cpus)
ENCAPS=11
LAB_PAIRS=2
LAB_MTU=1550 # room for what comes on top of 1500
LAB_SWITCH=$NET_BUILD/switch.bpf.o

# network TOPOLOGY: the lab, with hosts that encapsulate, and servers.
network()
{
	local i

	lab_down
	LAB_TOPOLOGY=$1
	mkdir -p "$LAB_DIR" || bail "no $LAB_DIR"
	python3 -B "$NET_HERE/hosts.py" devices $LAB_PAIRS >"$LAB_DIR/devices"
	echo '{"A": {"downloadBandwidthMbps": 0, "uploadBandwidthMbps": 0},
		"B": {"downloadBandwidthMbps": 0, "uploadBandwidthMbps": 0}}' >"$LAB_DIR/nodes"
	lab_up "$LAB_DIR/devices" || bail "no lab"
	encapsulate
	setsid setpriv --pdeathsig KILL nsenter \
		--net="/run/netns/$LAB_NS_INET" -- python3 -B \
		"$NET_HERE/hosts.py" serve >"$LAB_DIR/served" &
	disown # bash is not to tell of its end
	for ((i = 0; i < 50; i++)); do
		grep -q ready "$LAB_DIR/served" && return
		sleep 0.1
	done
	bail "no servers"
}

# What the encapsulating hosts have seen begins anew.
forget()
{
	local side i zeros

	zeros=$(printf '0 %.0s' {1..24})
	for side in subs inet; do
		for ((i = 0; i < 64; i++)); do
			echo "map update pinned $LAB_OWN_PINS/$side/encap_seen" \
				"key $i 0 0 0 value $zeros"
		done
	done >"$LAB_DIR/batch"
	bpftool batch file "$LAB_DIR/batch" >/dev/null || bail "no maps"
}

# talk: the hosts do, each of them about each thing.
talk()
{
	lab_subs python3 -B "$NET_HERE/hosts.py" talk $LAB_PAIRS "$LAB_DIR/told"
}

# judge WHAT [ARGUMENT of judge.py]...: all that was said since forget; JUDGED
# tests.
judge()
{
	local what=$1 rc text why dev

	shift
	settle
	take_frame
	ctl -j status >"$LAB_DIR/after.json"
	for dev in $(devices); do
		lab_shaper tc -s class show dev "$dev" >"$LAB_DIR/class_$dev"
	done
	bpftool -j map dump pinned "$LAB_OWN_PINS/subs/encap_seen" \
		>"$LAB_DIR/seen_up"
	bpftool -j map dump pinned "$LAB_OWN_PINS/inet/encap_seen" \
		>"$LAB_DIR/seen_down"
	while IFS=$'\t' read -r rc text why; do
		result "$rc" "$what, $text" "$why"
	done < <(python3 -B "$NET_HERE/judge.py" "$LAB_DIR" $LAB_PAIRS "$@")
}

devices()
{
	lab_sides 0 | awk '{ print $1 }' | sort -u
}

# try WHAT SETTING... [-- ARGUMENT of judge.py...]: JUDGED + 2 tests.
try()
{
	local what=$1 settings=() dev

	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		settings+=("$1")
		shift
	done
	shift
	lab_ini "shaped_devices=$LAB_DIR/devices" \
		"network_json=$LAB_DIR/nodes" "${settings[@]}" || bail "no ini"
	: >"$LAB_LOG"
	for dev in $(devices); do
		lab_shaper tc qdisc del dev "$dev" root 2>/dev/null
	done
	daemon
	make_htb
	lab_settled || bail "no connection"
	forget
	ctl -j status >"$LAB_DIR/before.json"
	talk
	judge "$what" "$@"
	if [ "$LAB_TOPOLOGY" != linux ] && [ ${#settings[@]} = 0 ]; then
		lab_stop KILL
		talk
		daemon
		talk # an idle subscriber is in no frame
		judge "$what, after kill -9" "$@"
	fi
	lab_stop
	is "$what, lqosd ends with status 0" $? 0
	is "$what, no sanitizer reports" "$(sanitizer_reports)" ""
}

# switched OUTCOME: how many frames the switch of a stick counted.
switched()
{
	bpftool -j map dump pinned "$LAB_OWN_PINS/switch_counts" |
		jq ".[$1].formatted.value"
}

# hosts ETHTOOL_ARGUMENT...: for all interfaces of the hosts.
hosts()
{
	local pair run option=$1

	shift
	for run in lab_subs lab_inet; do
		for ((pair = 0; pair < LAB_PAIRS; pair++)); do
			$run ethtool "$option" "eth$pair" "$@" ||
				bail "no ethtool"
		done
	done
}

JUDGED=$((4 * ENCAPS + CPUS + 1))
net_plan $((9 * JUDGED + 7 * 2 + 3))

network linux
try "Linux bridge"
try "Linux bridge, no metadata" metadata=off -- parsed=again
# With generic XDP packets keep the sender's socket, which here is on the same
# kernel and knows of a queue of its own.
hosts -L tx 1
# The tag stays beside the frame: the driver says that it inserts it.
hosts -K txvlan on
try "Linux bridge, generic XDP" xdp_mode=generic -- shorter=dot1q_in_skb

network xdp
try "XDP bridge"
try "XDP bridge, no metadata" metadata=off -- parsed=again

network stick
try "On a stick" -- strange=tags4
is "On a stick, the switch gets all frames back with priority and DEI" \
	"$(switched 1)" 0
is "... and in a VLAN that it has" "$(switched 2)" 0
hosts -L tx 1
try "On a stick, generic XDP" xdp_mode=generic -- strange=tags4
