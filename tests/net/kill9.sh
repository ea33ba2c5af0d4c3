#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosd is killed with -9 under traffic: nothing is lost, shaping goes on, the
# next start takes over, and a clean stop puts everything back.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# /sys shows the network namespace it was mounted in.
xps()
{
	ip netns exec "$LAB_NS_SHAPER" sh -c '
		for f in /sys/class/net/*/queues/tx-*/xps_cpus; do
			case $f in
			*/subs/* | */inet/*) echo "$f $(cat $f)" ;;
			esac
		done' 2>/dev/null
}

set_xps()
{
	ip netns exec "$LAB_NS_SHAPER" sh -c '
		echo 1 >/sys/class/net/subs/queues/tx-0/xps_cpus &&
		echo 1 >/sys/class/net/inet/queues/tx-0/xps_cpus' 2>/dev/null
}

xdp()
{
	ip -n "$LAB_NS_SHAPER" -d -j link show dev "$1" |
		jq -r '.[0].xdp.prog.id // "none"'
}

# Of both sides: NICs that take tags off lose them on the way to another CPU.
rxvlan()
{
	local side

	for side in subs inet; do
		lab_shaper ethtool -k $side | sed -n 's/^rx-vlan-offload: //p'
	done
}

clsact()
{
	lab_shaper tc qdisc show dev "$1" clsact
}

class_grows()
{
	local before

	before=$(class_bytes "$1" "$2")
	sleep 1
	at_least "$3" "$(class_bytes "$1" "$2")" $((before + 100000))
}

put_back()
{
	local side

	for side in subs inet; do
		is "$1: no XDP program on $side" "$(xdp $side)" none
	done
	is "$1: no clsact on inet" "$(clsact inet)" ""
	is "$1: XPS as before" "$(xps)" "$XPS_BEFORE"
	is "$1: rx-vlan-offload as before" "$(rxvlan)" "$RXVLAN_BEFORE"
	check "$1: no pins" test ! -e "$LAB_PINS"
	is "$1: nothing in run_dir but the lock" \
		"$(ls "$LAB_DIR/run" 2>/dev/null)" lock
}

SECONDS_OF_TRAFFIC=14
[ -z "$LQOS_SANITIZED" ] || SECONDS_OF_TRAFFIC=40

net_begin 45
HAVE_XPS=$(set_xps && echo yes)
XPS_BEFORE=$(xps)
RXVLAN_BEFORE=$(rxvlan)
# A clsact of somebody else has to stay.
lab_shaper tc qdisc add dev subs clsact
lab_shaper tc filter add dev subs ingress prio 7 bpf \
	bytecode '1,6 0 0 4294967295,'
lab_ini
daemon
make_htb
UDP_CLASS=$(planned 1014 class)
TCP_CLASS=$(planned 1003 class)
if [ -n "$HAVE_XPS" ]; then
	is "XPS is off while lqosd runs" "$(xps | grep -cv ' 0*$')" 0
else
	skip "XPS is off while lqosd runs" "this kernel has no XPS to set"
fi
is "rx-vlan-offload was on" "$RXVLAN_BEFORE" $'on\non'
is "... and is off while lqosd runs" "$(rxvlan)" $'off\noff'

flow tcp 100.64.1.3 -t $SECONDS_OF_TRAFFIC -b 20M -R
flow udp_up 100.64.4.3 -t $SECONDS_OF_TRAFFIC -u -l 500 -b 8M
flow udp_down6 2001:db8:1014::1 -t $SECONDS_OF_TRAFFIC -u -l 500 -b 8M -R
sleep 2
PROGRAMS="$(xdp subs) $(xdp inet)"
class_grows inet "$UDP_CLASS" "with lqosd: the upload's class is hit"
class_grows subs "$TCP_CLASS" "with lqosd: the download's class is hit"

lab_stop KILL
is "after kill -9: the same programs are attached" \
	"$(xdp subs) $(xdp inet)" "$PROGRAMS"
class_grows inet "$UDP_CLASS" "after kill -9: the upload's class is hit"
class_grows subs "$TCP_CLASS" "after kill -9: the download's class is hit"

: >"$LAB_LOG"
daemon
is "restart: both links are taken over" \
	"$(grep -c 'took over the XDP link' "$LAB_LOG")" 2
is "restart: new programs are in them" \
	"$(for id in $PROGRAMS; do
		[ "$(xdp subs)" = "$id" ] || [ "$(xdp inet)" = "$id" ] &&
			echo "$id"
	done)" ""
is "restart: the classes are the same" \
	"$(ctl -j call steering.tree | jq -S .)" \
	"$(jq -S . "$LAB_DIR/tree.json")"
class_grows inet "$UDP_CLASS" "restart: the upload's class is hit"
class_grows subs "$TCP_CLASS" "restart: the download's class is hit"
settle
take_frame
at_least "restart: traffic is counted" \
	"$(cell 1014 throughput.up.bytes)" 500000
flows_end $((SECONDS_OF_TRAFFIC + 10))
for name in udp_up udp_down6; do
	at_least "$name: was sent to the end" \
		"$(flow_json $name .end.sum_sent.packets)" \
		$((SECONDS_OF_TRAFFIC * 1900))
	is "$name: not a packet was lost" \
		"$(flow_json $name .end.sum.lost_packets)" 0
	is "$name: nothing was out of order" \
		"$(flow_json $name \
			'[.end.streams[].udp.out_of_order // 0] | add')" 0
done
at_least "tcp: the transfer went on" \
	"$(flow_json tcp .end.sum_received.bytes)" \
	$((SECONDS_OF_TRAFFIC * 2000000))
is "the default classes had none of it" \
	"$(for side in subs inet; do
		for queue in 1 2; do
			[ "$(class_bytes $side $queue:2)" -lt 20000 ] 2>/dev/null ||
				[ -z "$(class_bytes $side $queue:2)" ] ||
				echo "$side $queue:2"
		done
	done)" ""

lab_stop
is "clean stop: status 0" $? 0
put_back "clean stop"
like "clean stop: the clsact that was there stays on subs" \
	"$(clsact subs)" clsact
like "clean stop: and its filter" \
	"$(lab_shaper tc filter show dev subs ingress)" "pref 7 bpf"

# What a clean stop leaves is a clean start.
: >"$LAB_LOG"
daemon
is "next start: nothing to take over" \
	"$(grep -c 'took over' "$LAB_LOG")" 0
lab_stop KILL
# Pins of a link whose interface is gone are of no use to anybody.
ip -n "$LAB_NS_SHAPER" link del inet
ip -n "$LAB_NS_SHAPER" link del subs
lab_side subs "$LAB_NS_SUBS" 198.51.100.0/24 2001:db8:ffff::/64 <<<"100.64.1.1/32"
lab_side inet "$LAB_NS_INET" 100.64.0.0/10 2001:db8::/32 <<<"$LAB_INET4/24"
: >"$LAB_LOG"
daemon
is "new interfaces of the same name: links are made, not taken over" \
	"$(grep -c 'XDP attached' "$LAB_LOG")" 2
check "... and packets pass" lab_subs ping -q -n -c 2 -W 5 -I 100.64.1.1 \
	"$LAB_INET4"
XPS_BEFORE=$(xps)
lab_stop INT
is "stop by SIGINT: status 0" $? 0
put_back "stop by SIGINT"
is "no report of a sanitizer" "$(sanitizer_reports)" ""
