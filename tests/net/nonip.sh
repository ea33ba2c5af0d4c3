#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is not IP, or not IP that we understand, passes as it is: neighbours find
# each other and link-local protocols work, with lqosd, without, and in between.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

COUNT=20
NAMES="stp lacp lldp isis ospf bfd pppoe mpls vlan1 vlan4 vlan6 options8 unknown
nonsense"

# Nobody knows anybody: ARP and neighbour discovery have to pass.
neighbours()
{
	ip -n "$LAB_NS_SUBS" neigh flush dev eth0 &&
		ip -n "$LAB_NS_INET" neigh flush dev eth0 &&
		lab_subs ping -q -n -c 1 -W 5 -I 100.64.1.1 "$LAB_INET4" &&
		lab_inet ping -q -n -c 1 -W 5 100.64.3.2 &&
		lab_subs ping -q -n -c 1 -W 5 -I 2001:db8:1001::1 \
			"$LAB_INET6" &&
		lab_inet ping -q -n -c 1 -W 5 2001:db8:1016::1
}

# exchange down|up: "NAME UNCHANGED CHANGED" of all frames.
exchange()
{
	local from=lab_subs to=lab_inet got=$LAB_DIR/got i pid

	[ "$1" = up ] || { from=lab_inet && to=lab_subs; }
	rm -f "$got"
	$to python3 "$NET_HERE/frames.py" receive "$1" 10 $COUNT >"$got" 2>&1 &
	pid=$!
	for ((i = 0; i < 100; i++)); do
		grep -q ready "$got" 2>/dev/null && break
		sleep 0.1
	done
	$from python3 "$NET_HERE/frames.py" send "$1" $COUNT
	wait $pid
	cat "$got"
}

total()
{
	ctl -j status | jq ".counters.total.$1 // 0"
}

pass_both_ways()
{
	local way name all

	for way in down up; do
		all=$(exchange $way)
		for name in $NAMES; do
			is "$1, $way: $name" "$(grep "^$name " <<<"$all")" \
				"$name $COUNT 0"
		done
	done
}

net_begin 68
check "neighbours find each other without lqosd" neighbours
lab_ini && daemon
make_htb
check "... with lqosd" neighbours
pass_both_ways "with lqosd"
at_least "what is not IP is counted as such" "$(total not_ip)" \
	$((2 * 6 * COUNT))
is "too many tags are counted" "$(total too_many_tags)" $((2 * COUNT))
is "too many extension headers are counted" \
	"$(total too_many_extensions)" $((2 * COUNT))
is "bad headers are counted" "$(total bad_header)" $((2 * COUNT))
at_least "unknown protocols are counted" "$(total l4_other)" $((2 * COUNT))
settle
take_frame
# Of bfd, mpls, vlan1 and vlan4.
at_least "what lies below labels and tags is its subscriber's" \
	"$(cell 1001 throughput.up.udp.packets)" $((4 * COUNT))
lab_stop KILL
check "neighbours find each other after kill -9" neighbours
pass_both_ways "after kill -9"
daemon
check "... after the restart" neighbours
lab_stop
check "... after a clean stop" neighbours
