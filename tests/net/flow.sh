#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Flows of real TCP and UDP: what they carry against what the hosts count, what
# was sent again against the sender's own account, and when they open and end.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LOSSY=1003 # its class is narrow: its queue drops what TCP sends too much
DOWN=100.64.1.3

# Segments leave before what we observe, so that all that is sent again passes.
narrow()
{
	local class

	class=$(planned $LOSSY class)
	lab_shaper tc class change dev subs parent "${class%:*}:1" \
		classid "$class" htb rate 8mbit ceil 8mbit &&
		lab_shaper tc qdisc add dev subs parent "$class" pfifo limit 12
}

# flow_of CIRCUIT PORT FILTER: of the one whose server has that port and which
# has carried most; saved as LAB_DIR/top.json.
flow_of()
{
	jq -r --arg circuit "$1" --argjson port "$2" \
		'[.flows[] | select(.circuit_id == $circuit and
			.remote_port == $port)] |
		max_by(.down_bytes + .up_bytes) | '"$3" "$LAB_DIR/top.json"
}

port_of()
{
	jq -r '.start.connecting_to.port' "$LAB_DIR/$1.json"
}

# What has ended is in the list for 5 s only: it is asked for once a second.
poll_flows()
{
	while [ ! -e "$LAB_DIR/enough" ]; do
		ctl -j flow top limit=1000 sort=bytes detail=true
		sleep 0.5
	done >"$LAB_DIR/polls.json" 2>/dev/null
}

# Of each flow the last that was told.
take_flows()
{
	jq -s '{flows: [.[].flows[]] | group_by([.protocol, .subscriber_ip,
		.subscriber_port, .remote_ip, .remote_port]) | map(last)}' \
		"$LAB_DIR/polls.json" >"$LAB_DIR/top.json"
}

# events KIND PORT: of the watched flows, as rows.
events()
{
	jq -c --arg kind "$1" --argjson port "$2" '.data |
		(.columns | index("event")) as $e |
		(.columns | index("remote_port")) as $p |
		.rows[] | select(.[$e] == $kind and .[$p] == $port)' \
		"$LAB_DIR/watch.json"
}

check_tcp()
{
	local name=$1 circuit=$2 way=$3 port

	port=$(port_of "$name")
	near "$name: bytes $way, as iperf3 counts them" \
		"$(flow_of "$circuit" "$port" ".${way}_bytes")" \
		"$(flow_bytes "$name" "$way")" 15
	like "$name: it has ended" \
		"$(flow_of "$circuit" "$port" .state)" "^(closed|reset)$"
	is "$name: two flows opened" "$(events opened "$port" | wc -l)" 2
	is "$name: two flows closed" "$(events closed "$port" | wc -l)" 2
	is "$name: what closed has its counts" \
		"$(events closed "$port" | jq -s '[.[][8]] | unique | tostring')" \
		'"[true]"'
}

# Segments that the internet's host has sent again, by its kernel's account.
sent_again()
{
	lab_inet awk '$1 == "Tcp:" {
		if (column)
			print $column
		for (i = 2; i <= NF && !column; i++)
			if ($i == "RetransSegs")
				column = i
	}' /proc/self/net/snmp
}

# spray N: datagrams that nobody answers, each to another port.
spray()
{
	lab_subs python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 5000))
for i in range(int(sys.argv[3])):
    s.sendto(b"x", (sys.argv[2], 20000 + i))' "$DOWN" "$LAB_INET4" "$1"
}

net_begin 26
lab_ini modules=steering,throughput,flow,lqtop && daemon
make_htb
narrow || bail "no narrow class"
ctl -j watch flow.watch >"$LAB_DIR/watch.json" 2>/dev/null &
WATCHER=$!
poll_flows &
POLLER=$!
sleep 2.2
BEFORE=$(sent_again)
flow lossy $DOWN -t 5 -R -C reno
flow up6 2001:db8:1016::1 -t 5 -b 12M
flow udp 100.64.2.12 -t 5 -b 6M -u -R
flow nobody "$LAB_UNKNOWN4" -t 5 -b 2M -R
lab_subs ping -q -n -c 3 -i 0.3 -I $DOWN "$LAB_INET4" >/dev/null
flows_end 30
settle
ctl -j flow top limit=1000 sort=bytes >"$LAB_DIR/now.json"
touch "$LAB_DIR/enough"
wait $POLLER
take_flows
take_frame
sleep 1.2
kill $WATCHER
wait $WATCHER 2>/dev/null

check_tcp up6 1016 up
like "lossy: it has ended" \
	"$(flow_of $LOSSY "$(port_of lossy)" .state)" "^(closed|reset)$"
near "udp: bytes down, as iperf3 counts them" \
	"$(flow_of 1006 "$(port_of udp)" .down_bytes)" \
	"$(flow_bytes udp down)" 15
is "udp: nothing of it is TCP's" \
	"$(flow_of 1006 "$(port_of udp)" '"\(.state)\(.down_retransmits)"')" 0

SENT_AGAIN=$(($(sent_again) - BEFORE))
COUNTED=$(jq '[.flows[].down_retransmits] | add' "$LAB_DIR/top.json")
at_least "lossy: enough was sent again to tell" "$SENT_AGAIN" 20
# Now and then a few are missing: 5 of 119 at most.
near "lossy: sent again, by the sender's account" "$COUNTED" "$SENT_AGAIN" 80
COUNTED=$(flow_of $LOSSY "$(port_of lossy)" .down_retransmits)
near "lossy: the subscriber's count is that of his flows" \
	"$(cell $LOSSY flow.down.retransmits)" "$COUNTED" 20
is "up6: next to nothing was sent again" "$(($(flow_of 1016 \
	"$(port_of up6)" .up_retransmits) < 5))" 1
is "ping: one flow by its identifier" "$(jq '[.flows[] |
	select(.protocol == "ICMP" and .subscriber_ip == "'$DOWN'")] | length' \
	"$LAB_DIR/top.json")" 1

is "total is the number of rows" "$(jq .total "$LAB_DIR/now.json")" \
	"$(jq '.flows | length' "$LAB_DIR/now.json")"
is "most bytes first" "$(jq '[.flows[] | .down_bytes + .up_bytes] |
	. == (sort | reverse)' "$LAB_DIR/now.json")" true

# What is closed has left the list soon; what nobody answers stays for 15 s.
sleep 5
is "what is closed is in no list any more" "$(ctl -j flow top |
	jq '[.flows[] | select(.state | test("closed|reset"))] | length')" 0
spray 10
is "pages do not overlap, and miss none" "$(for ((i = 0; i < 10; i += 3)); do
	ctl -j flow top sort=bytes limit=3 offset=$i ip=$DOWN protocol=udp
done | jq -s '[.[].flows[].remote_port] | unique | length')" 10
# They are in slots that others had, who carried more.
is "small ones come last" "$(ctl -j flow top sort=bytes limit=1000 |
	jq '[.flows[] | .down_bytes + .up_bytes] | . == (sort | reverse)')" true
is "flow.by_ip: those of an address" "$(ctl -j flow by_ip "$DOWN" |
	jq '[.flows[].circuit_id] | unique | join(" ")')" "\"$LOSSY\""
is "flow.count agrees" \
	"$(ctl -j flow count ip="$DOWN" protocol=udp | jq .flows)" 10
like "a bad sort is told what there is" "$(ctl flow top sort=colour 2>&1)" \
	"sort: expected one of flow.bytes"
like "a bad address is told" "$(ctl flow by_ip nowhere 2>&1)" \
	"ip: expected an address"
like "status tells of the table" "$(ctl -j status |
	jq -c '.. | .flows? | select(. != null)')" '"used":[0-9]+'
lab_stop
is "lqosd ends with status 0" $? 0
is "no report of a sanitizer" "$(sanitizer_reports)" ""
