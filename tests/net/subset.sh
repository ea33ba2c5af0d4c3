#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Without steering the same modules count on the interfaces' own hook, where any
# CPU may meet any packet; with one interface alone, in both directions too.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# counts WHAT: the daemon that runs counts flows that share a subscriber; 13
# tests.
counts()
{
	local what=$1 up down

	up=$(sent_by subs)
	down=$(sent_by inet)
	flow tcp_down 100.64.1.3 -t 4 -b 8M -P 4 -R
	flow tcp_up 100.64.1.103 -t 4 -b 8M -P 4
	flow udp_both6 2001:db8:1003::1 -t 4 -b 4M -u --bidir
	flow tcp_both6 2001:db8:1016::1 -t 4 -b 12M --bidir
	flow udp_down 100.64.5.2 -t 4 -b 6M -u -P 2 -R
	flow nobody "$LAB_UNKNOWN4" -t 4 -b 5M --bidir
	flows_end 30
	settle
	take_frame
	up=$(($(sent_by subs) - up))
	down=$(($(sent_by inet) - down))
	# ARP is not IP, and not counted; a few frames.
	near "$what: total down, against the interface" \
		"$(global throughput.down.bytes)" "$down" 1
	near "$what: total up, against the interface" \
		"$(global throughput.up.bytes)" "$up" 1
	# Acknowledgements of the other TCP flow come on top.
	near "$what: circuit 1003 down, as iperf3 counts it" \
		"$(cell 1003 throughput.down.bytes)" \
		$(($(flow_bytes tcp_down down) + $(flow_bytes udp_both6 down)))
	near "$what: circuit 1003 up, as iperf3 counts it" \
		"$(cell 1003 throughput.up.bytes)" \
		$(($(flow_bytes tcp_up up) + $(flow_bytes udp_both6 up)))
	near "$what: circuit 1003, UDP down" \
		"$(cell 1003 throughput.down.udp.bytes)" \
		"$(flow_bytes udp_both6 down)" 1
	is "$what: circuit 1003, UDP packets up" \
		"$(cell 1003 throughput.up.udp.packets)" \
		"$(($(flow_json udp_both6 .end.sum_sent.packets) + 2))"
	near "$what: circuit 1016 down, as iperf3 counts it" \
		"$(cell 1016 throughput.down.bytes)" \
		$(($(flow_bytes tcp_both6 down) + $(flow_bytes udp_down down)))
	near "$what: circuit 1016 up, as iperf3 counts it" \
		"$(cell 1016 throughput.up.bytes)" \
		"$(flow_bytes tcp_both6 up)" 20
	near "$what: unknown hosts, as iperf3 counts it" \
		"$(cell "" throughput.down.bytes)" "$(flow_bytes nobody down)"
	is "$what: the parts add up" \
		"$(global throughput.down.bytes)" \
		$(($(cell 1003 throughput.down.bytes) + \
			$(cell 1016 throughput.down.bytes) + \
			$(cell "" throughput.down.bytes)))
	is "$what: nothing is steered" "$(ctl -j status |
		jq -c '[.steered, (.chains.ingress | length)]')" "[false,0]"
	lab_stop
	is "$what: lqosd ends with status 0" $? 0
	is "$what: nothing stays on the interfaces" \
		"$(ip -n "$LAB_NS_SHAPER" -d -j link show |
			jq '[.[].xdp // empty | .prog] | length') \
$(lab_shaper tc qdisc show clsact | grep -c clsact)" "0 0"
}

net_begin 42
lab_ini modules=throughput,lqtop
daemon
counts "two interfaces"
# As they come off the wire, and as large ones that GRO has made of them.
TX_BEFORE=$(ip -n "$LAB_NS_SHAPER" -s -j link show dev inet |
	jq '.[0].stats64.tx.packets')
daemon -i inet
is "one interface: is said to be the only one" \
	"$(ctl -j status | jq -c '[.interfaces[].name]')" '["inet"]'
counts "one interface"
at_least "one interface: fewer, larger packets left than were counted" \
	"$(global throughput.up.packets)" \
	$(($(ip -n "$LAB_NS_SHAPER" -s -j link show dev inet |
		jq '.[0].stats64.tx.packets') - TX_BEFORE + 1000))
lab_ini modules=throughput,lqtop xdp_mode=generic
daemon -i inet
counts "one interface, generic"
