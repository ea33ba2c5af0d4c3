#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosd dies while it starts, at whatever moment: what ran before runs on whole.
# A later run with fewer interfaces takes off what the others still have, and
# other people's pins are nobody's to remove.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

UDP=100.64.4.3 # circuit 1014

xdp()
{
	ip -n "$LAB_NS_SHAPER" -d -j link show dev "$1" |
		jq -r '.[0].xdp.prog.id // "none"'
}

# How many programs follow the entry of the ingress stage.
chain()
{
	bpftool -j map dump pinned "$LAB_PINS/maps/datapath/lqos_ingress" |
		jq length
}

# Starts it and kills it after so many seconds.
die_after()
{
	nsenter --net="/run/netns/$LAB_NS_SHAPER" -- \
		"$ROOT/sbin/lqosd" -c "$LAB_INI" </dev/null >>"$LAB_LOG" 2>&1 &
	sleep "$1"
	kill -9 $! 2>/dev/null
	{ wait $!; } 2>/dev/null
}

net_begin 16
lab_ini
daemon
make_htb
PATH=$PATH:/usr/sbin:/sbin
check "somebody keeps a pin beside ours" bpftool map create \
	"$LAB_PINS/foreign" type array key 4 value 4 entries 1 name foreign
CLASS=$(planned 1014 class)
lab_stop KILL

for seconds in 0.02 0.05 0.1 0.2 0.3 0.5; do
	die_after $seconds
	is "dead after $seconds s: the chain is whole" "$(chain)" 1
done
BEFORE=$(class_bytes inet "$CLASS")
flow udp $UDP -t 2 -u -l 500 -b 4M
flows_end 15
at_least "traffic still goes into its class" \
	"$(class_bytes inet "$CLASS")" $((BEFORE + 800000))

: >"$LAB_LOG"
daemon
is "the next start takes both interfaces over" \
	"$(grep -c 'took over the XDP link' "$LAB_LOG")" 2
is "what the dead ones left is gone" "$(ls "$LAB_PINS" | tr '\n' ' ')" \
	"foreign links maps "
lab_stop KILL

daemon -i inet
is "one interface only: the other has no XDP any more" "$(xdp subs)" none
is "... and no clsact" "$(lab_shaper tc qdisc show dev subs clsact)" ""
lab_stop
is "a clean stop ends with status 0" $? 0
is "nothing of ours is left, what is not stays" "$(ls "$LAB_PINS")" foreign
is "no sanitizer reports" "$(sanitizer_reports)" ""
rm -f "$LAB_PINS/foreign"
rmdir "$LAB_PINS"
