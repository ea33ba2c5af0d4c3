#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bridge = xdp: no bridge of the kernel's; whatever arrives leaves by the other
# interface of its pair, shaped, also while lqosd is dead.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ping_both()
{
	lab_subs ping -q -n -c 2 -W 5 -I 100.64.1.1 "$LAB_INET4" &&
		lab_inet ping -q -n -c 2 -W 5 2001:db8:1001::1
}

promiscuous()
{
	ip -n "$LAB_NS_SHAPER" -j link show dev "$1" |
		jq -r '.[0].flags | index("PROMISC") != null'
}

total()
{
	ctl -j status | jq ".counters.total.$1 // 0"
}

# Frames that end at any bridge of the kernel's: a wire has to carry them.
link_local()
{
	local got=$LAB_DIR/got pid i

	lab_inet python3 "$NET_HERE/frames.py" receive up 10 5 >"$got" 2>&1 &
	pid=$!
	for ((i = 0; i < 100; i++)); do
		grep -q ready "$got" 2>/dev/null && break
		sleep 0.1
	done
	lab_subs python3 "$NET_HERE/frames.py" send up 5
	wait $pid
	grep -E '^(stp|lacp|lldp|vlan4|pppoe) 5 0$' "$got" | wc -l
}

net_begin 24
for side in subs inet; do
	ip -n "$LAB_NS_SHAPER" link set $side nomaster
done
ip -n "$LAB_NS_SHAPER" link del br0
lab_ini bridge=xdp
daemon
make_htb
CLASS=$(planned 1014 class)
is "status tells of the bridge" "$(ctl -j status | jq -r .bridge)" xdp
is "... and that both are a pair" \
	"$(ctl -j status | jq -c '[.interfaces[].pair]')" "[0,0]"
is "both interfaces are promiscuous" \
	"$(promiscuous subs) $(promiscuous inet)" "true true"
ip -n "$LAB_NS_SUBS" neigh flush dev eth0
check "neighbours find each other, and it pings" ping_both
is "STP, LACP, LLDP, tags and PPPoE pass as on a wire" "$(link_local)" 5
PARSED=$(total sent_parsed)
flow up 100.64.4.3 -t 4 -u -l 500 -b 8M
flow down 2001:db8:1005::1 -t 4 -b 8M -R
flows_end 30
settle
take_frame
is "not a packet is lost" "$(flow_json up .end.sum.lost_packets)" 0
near "the upload is counted, as iperf3 counts it" \
	"$(cell 1014 throughput.up.bytes)" "$(flow_bytes up up)"
near "... and all in its class" "$(class_bytes inet "$CLASS")" \
	"$(cell 1014 throughput.up.bytes)" 5
near "the TCP download is counted" \
	"$(cell 1005 throughput.down.bytes)" "$(flow_bytes down down)"
near "... and all in its class" \
	"$(class_bytes subs "$(planned 1005 class)")" \
	"$(cell 1005 throughput.down.bytes)" 5
at_least "what was forwarded is counted" "$(total forwarded)" 7500
is "all of it had its descriptor" "$(total sent_parsed)" "$PARSED"

# A stream that sees all that happens from here on.
flow udp 100.64.4.3 -t 12 -u -l 500 -b 8M
sleep 2
lab_stop KILL
check "after kill -9 it pings" ping_both
BEFORE=$(class_bytes inet "$CLASS")
sleep 1
at_least "... and shapes" "$(class_bytes inet "$CLASS")" $((BEFORE + 500000))
: >"$LAB_LOG"
daemon
is "restart: both links are taken over" \
	"$(grep -c 'took over the XDP link' "$LAB_LOG")" 2
flows_end 30
is "not a packet was lost by all that" \
	"$(flow_json udp .end.sum.lost_packets)" 0

# The kernel's bridge instead: ours goes.
lab_stop KILL
ip -n "$LAB_NS_SHAPER" link add br0 type bridge stp_state 0 forward_delay 0
ip -n "$LAB_NS_SHAPER" link set br0 up
for side in subs inet; do
	ip -n "$LAB_NS_SHAPER" link set $side master br0
done
lab_ini bridge=linux
daemon
is "bridge = linux takes our own off" \
	"$(find "$LAB_PINS/links" -name "in_*")" ""
FORWARDED=$(total forwarded)
check "... and it pings" ping_both
is "... by the kernel's bridge" "$(total forwarded)" "$FORWARDED"
for side in subs inet; do
	ip -n "$LAB_NS_SHAPER" link set $side nomaster
done
is "... and they are no longer promiscuous" \
	"$(promiscuous subs) $(promiscuous inet)" "false false"
lab_stop
is "clean stop: status 0" $? 0
is "clean stop: no clsact" \
	"$(lab_shaper tc qdisc show | grep -c clsact)" 0
is "no report of a sanitizer" "$(sanitizer_reports)" ""
