#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# TC programs by links and by filters: what waits in a queue is lost by neither
# start nor stop of the one, each takes over from the other, and nothing stays.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

filters()
{
	lab_shaper tc filter show dev "$1" egress | grep -c "lq_to_"
}

# Programs on both interfaces' ways out.
links()
{
	lab_shaper "$ROOT/bin/lqosctl" -c "$LAB_INI" -j pins |
		jq '[.attached[] | select(.hook == "tcx egress" and
			(.interface == "subs" or .interface == "inet"))] |
			length'
}

queued()
{
	lab_shaper tc -s -j qdisc show dev inet root | jq '.[0].qlen'
}

# 120 packets.
upload()
{
	lab_subs python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('100.64.1.1', 0))
for i in range(120):
    s.sendto(bytes(500), ('$LAB_INET4', 9))"
}

# A queue that takes a minute to send what is put into it.
fill()
{
	lab_shaper tc qdisc replace dev inet root tbf rate 8kbit burst 1600 \
		limit 1000000 || return
	upload
	queued
}

again()
{
	lab_ini "$@"
	: >"$LAB_LOG"
	daemon
}

net_begin 28
case $(uname -r) in
[0-5].* | 6.[0-5].*) skip_all "no TCX before Linux 6.6" ;;
esac
lab_ini
FILLED=$(fill)
at_least "a queue is filled" "$FILLED" 40
daemon
is "TCX is what auto takes" "$(ctl -j status | jq -r .tc_mode)" tcx
is "... on both interfaces" "$(links)" 2
is "... without a filter" "$(filters subs) $(filters inet)" "0 0"
is "... or qdisc" "$(lab_shaper tc qdisc show | grep -c clsact)" 0
at_least "a start loses nothing of what waits in queues" "$(queued)" \
	$((FILLED - 5))
lab_stop
at_least "nor does a stop" "$(queued)" $((FILLED - 10))
lab_shaper tc qdisc del dev inet root

again tc_mode=clsact
is "clsact: said so" "$(ctl -j status | jq -r .tc_mode)" clsact
is "clsact: a filter on each" "$(filters subs) $(filters inet)" "1 1"
is "clsact: no link" "$(links)" 0
lab_stop KILL
is "clsact: filters stay after kill -9" "$(filters subs) $(filters inet)" "1 1"

coproc FOREIGN { lab_shaper "$NET_HERE/foreign.py" inet tcx; }
read -r _ <&"${FOREIGN[0]}"
again
is "from clsact to TCX: links" "$(links)" 2
is "from clsact to TCX: no filters" "$(filters subs) $(filters inet)" "0 0"
check "from clsact to TCX: packets pass" lab_subs ping -q -n -c 2 -W 5 \
	-I 100.64.1.1 "$LAB_INET4"
is "from clsact to TCX: sent packets are seen" \
	"$(ctl -j status | jq '.counters.total.sent > 0')" true
BEFORE=$(ctl -j status | jq .counters.total.sent)
upload
at_least "... also where a program that was there first ends with OK" \
	"$(ctl -j status | jq .counters.total.sent)" $((BEFORE + 110))
IN=${FOREIGN[1]}
exec {IN}>&-
wait "$FOREIGN_PID"
lab_stop KILL
is "TCX: links stay after kill -9" "$(links)" 2

again tc_mode=clsact
is "from TCX to clsact: filters" "$(filters subs) $(filters inet)" "1 1"
is "from TCX to clsact: no links" "$(links)" 0
lab_stop
is "a clean stop: status 0" $? 0
is "a clean stop: no clsact" "$(lab_shaper tc qdisc show | grep -c clsact)" 0

# Beside an ingress qdisc there is no clsact.
lab_shaper tc qdisc add dev inet ingress
again tc_mode=auto
is "TCX beside an ingress qdisc" "$(links)" 2
lab_stop
is "... whose owner keeps it" \
	"$(lab_shaper tc qdisc show dev inet ingress | wc -l)" 1
lab_ini tc_mode=clsact
nsenter --net="/run/netns/$LAB_NS_SHAPER" -- "$ROOT/sbin/lqosd" -c "$LAB_INI" \
	>"$LAB_LOG" 2>&1
is "clsact beside an ingress qdisc is refused" $? 1
like "... with what to do" "$(cat "$LAB_LOG")" "tc qdisc del dev inet ingress"
lab_shaper tc qdisc del dev inet ingress
check "no pins" test ! -e "$LAB_PINS"
is "no report of a sanitizer" "$(sanitizer_reports)" ""
