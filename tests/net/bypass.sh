#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl bypass: packets pass untouched for a time, and are shaped again when
# it is over: by itself, by hand, and while lqosd is dead.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

total()
{
	ctl -j status | jq ".counters.total.$1 // 0"
}

bypassed()
{
	ctl -j status | jq -c .bypass.bypass
}

# Bytes that have gone through the class of the stream.
classed()
{
	class_bytes inet "$CLASS"
}

# grows WHAT yes|no: is what is sent meanwhile in its class?
grows()
{
	local before now

	sleep 0.3
	before=$(classed)
	sleep 0.7
	now=$(classed)
	if [ "$2" = yes ]; then
		at_least "$1" "$now" $((before + 200000))
	else
		is "$1" "$now" "$before"
	fi
}

net_begin 26
lab_ini
daemon
make_htb
CLASS=$(planned 1014 class)
is "it is off" "$(ctl -j status | jq -c .bypass)" \
	'{"bypass":false,"seconds_left":0}'
flow udp 100.64.4.3 -t 20 -u -l 500 -b 8M
sleep 1
grows "the stream is in its class" yes

like "bypass on" "$(ctl -j bypass on | jq -c .)" \
	'\{"bypass":true,"seconds_left":300\}'
grows "nothing is in its class" no
at_least "what passed untouched is counted" "$(total bypassed)" 500
check "it pings" lab_subs ping -q -n -c 1 -W 5 -I 100.64.1.1 "$LAB_INET4"
is "bypass off" "$(ctl -j bypass off | jq -c .)" \
	'{"bypass":false,"seconds_left":0}'
grows "the stream is in its class again" yes

ctl bypass on --for 2 >/dev/null
is "for 2 seconds: it is on" "$(bypassed)" true
grows "for 2 seconds: nothing is in its class" no
sleep 1.5
grows "after them the stream is in its class" yes
is "... and it is off" "$(bypassed)" false
like "the log says on" "$(cat "$LAB_LOG")" "bypass is on for 2 s"
like "... off" "$(cat "$LAB_LOG")" "bypass is off \(switched off\)"
settle
like "... and over" "$(cat "$LAB_LOG")" "bypass is off \(its time is over\)"

ctl bypass on --for 4 >/dev/null
lab_stop KILL
grows "on, and lqosd is dead: nothing is in its class" no
sleep 3.5
grows "its time is over, and lqosd still dead: in its class" yes
daemon
is "restart: it is off" "$(bypassed)" false
grows "restart: in its class" yes
flows_end 30
is "not a packet of the stream was lost by all that" \
	"$(flow_json udp .end.sum.lost_packets)" 0

for bad in '{}' '{"on": 1}' '{"on": true, "seconds": 0}' \
	'{"on": true, "seconds": 86401}'; do
	like "core.bypass $bad is refused" \
		"$(ctl call core.bypass "$bad" 2>&1)" "expected"
done
is "... and changes nothing" "$(bypassed)" false
