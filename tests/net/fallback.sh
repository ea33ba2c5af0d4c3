#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Drivers that take no XDP program, or give no room for metadata: all the same
# counts and classes, by the slower way, which is named.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Flow, circuit, address, direction, what iperf3 is to do.
FLOWS="
tcp_down	1003	100.64.1.3		down	-b 20M -R
tcp_up6		1016	2001:db8:1016::1	up	-b 15M
udp_down6	1005	2001:db8:1005::1	down	-b 8M -u -R
udp_up		1012	100.64.4.1		up	-b 8M -u
"

status()
{
	ctl -j status | jq -r "$1"
}

# carries WHAT MODE: the daemon that runs counts and classifies; 17 tests.
carries()
{
	local what=$1 mode=$2 name circuit address way arguments side

	is "$what: both interfaces are said to be $mode" \
		"$(status '[.interfaces[].mode] | unique | join(" ")')" "$mode"
	is "$what: the log says $mode too" \
		"$(grep -c "XDP attached, $mode" "$LAB_LOG")" 2
	while read -r name circuit address way arguments; do
		# shellcheck disable=SC2086
		flow "$name" "$address" -t 3 $arguments
	done < <(grep -v '^$' <<<"$FLOWS")
	flows_end 30
	settle
	take_frame
	while read -r name circuit address way arguments; do
		side=subs
		[ "$way" = down ] || side=inet
		near "$what: $name: circuit $circuit, as iperf3 counts it" \
			"$(cell "$circuit" "throughput.$way.bytes")" \
			"$(flow_bytes "$name" "$way")"
		near "$what: $name: all in its class of $side" \
			"$(class_bytes $side "$(planned "$circuit" class)")" \
			"$(cell "$circuit" "throughput.$way.bytes")" 2
		is "$what: $name: nothing dropped there" \
			"$(class_drops $side "$(planned "$circuit" class)")" 0
	done < <(grep -v '^$' <<<"$FLOWS")
	check "$what: it pings" lab_subs ping -q -n -c 2 -W 5 \
		-I 2001:db8:1001::1 "$LAB_INET6"
	lab_stop
	is "$what: lqosd ends with status 0" $? 0
	is "$what: no XDP program is left" \
		"$(ip -n "$LAB_NS_SHAPER" -d -j link show |
			jq '[.[].xdp // empty | .prog] | length')" 0
}

# try WHAT MODE SETTING...
try()
{
	local what=$1 mode=$2

	shift 2
	lab_ini "$@"
	: >"$LAB_LOG"
	lab_shaper tc qdisc del dev subs root 2>/dev/null
	lab_shaper tc qdisc del dev inet root 2>/dev/null
	daemon
	make_htb
	carries "$what" "$mode"
}

net_begin 76
try "tc_mode = clsact" native tc_mode=clsact
try "metadata = off" native metadata=off
# Generic XDP leaves a packet its sender's socket, which here is on the same
# kernel and knows of a queue of its own: that would overrule ours.
lab_subs ethtool -L eth0 tx 1
lab_inet ethtool -L eth0 tx 1
try "xdp_mode = generic" generic xdp_mode=generic
try "both" generic xdp_mode=generic metadata=off

# With more transmit queues at the other end than receive queues here, veth
# takes no native XDP: auto falls back, native does not.
ip -n "$LAB_NS_SHAPER" link del subs
ip -n "$LAB_NS_SHAPER" link add subs numrxqueues 1 numtxqueues 4 type veth \
	peer name eth0 netns "$LAB_NS_SUBS" numtxqueues 4 numrxqueues 4
ip -n "$LAB_NS_SHAPER" link set subs up
lab_subs ip link set eth0 up
: >"$LAB_LOG"
lab_ini xdp_mode=auto
daemon
is "auto: what the driver refuses is generic" \
	"$(status '[.interfaces[] | .name + " " + .mode] | sort | join(" ")')" \
	"inet native subs generic"
like "auto: the log says what was refused and what that means" \
	"$(cat "$LAB_LOG")" "subs: no XDP in the driver .*slower"
lab_stop
: >"$LAB_LOG"
lab_ini xdp_mode=native
timeout 30 nsenter --net="/run/netns/$LAB_NS_SHAPER" -- \
	"$ROOT/sbin/lqosd" -c "$LAB_INI" >"$LAB_LOG" 2>&1
is "native: what the driver refuses is an error" $? 1
like "native: which is named, with what to do" "$(cat "$LAB_LOG")" \
	"subs: its driver takes no XDP program.*try xdp_mode = auto"
is "native: nothing is left on the other interface" \
	"$(ip -n "$LAB_NS_SHAPER" -d -j link show |
		jq '[.[].xdp // empty | .prog] | length')" 0
is "native: nor a clsact" \
	"$(lab_shaper tc qdisc show clsact | grep -c clsact)" 0
check "native: nor pins" test ! -e "$LAB_PINS"
