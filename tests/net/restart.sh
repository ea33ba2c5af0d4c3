#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Some cycles of restart_loss, which tells what restarts and reloads cost; and
# first, that it would tell of a packet lost or in the wrong class.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

BUILD=${LQOS_BUILD:-$ROOT/..}
CYCLES=4
[ -z "$LQOS_SANITIZED" ] || CYCLES=2

# Two flows for two seconds, while COMMAND is run.
load_during()
{
	setpriv --pdeathsig TERM "$BUILD/tests/net/seqload" \
		-s "/run/netns/$LAB_NS_SUBS" -i "/run/netns/$LAB_NS_INET" \
		-4 "$LAB_INET4" -6 "$LAB_INET6" -r 1000 100.64.1.1 \
		>"$LAB_DIR/load.json" &
	LOAD=$!
	sleep 1
	"$@"
	sleep 1
	kill -TERM $LOAD
	wait $LOAD
}

of_load()
{
	jq "$1" "$LAB_DIR/load.json"
}

# Down and up again, which is noticed in both directions.
interrupt()
{
	ip -n "$LAB_NS_SHAPER" link set subs down
	sleep 0.1
	ip -n "$LAB_NS_SHAPER" link set subs up
}

one_class()
{
	lab_shaper tc qdisc add dev subs root handle 1: htb default 2 &&
		lab_shaper tc class add dev subs parent 1: classid 1:2 \
			htb rate 1gbit quantum 3028 &&
		lab_shaper tc class add dev subs parent 1: classid 1:3 \
			htb rate 1gbit quantum 3028
}

# watch_class CLASS: expects all traffic in there.
watch_class()
{
	setpriv --pdeathsig TERM "$BUILD/tests/net/classwatch" \
		"/run/netns/$LAB_NS_SHAPER" 20 "subs=$1" \
		>"$LAB_DIR/class.json" 2>/dev/null &
	sleep 0.5
	kill -TERM $!
	wait $!
}

of_classes()
{
	jq "$1" "$LAB_DIR/class.json"
}

net_begin 43
load_during true
is "undisturbed: all that was sent arrives" \
	"$(of_load '[.flows[] | .sent - .received] | add')" 0
at_least "... and it was as much as was asked for" \
	"$(of_load '[.flows[].sent] | min')" 1500
load_during interrupt
at_least "an interruption of 100 ms: packets are missing" \
	"$(of_load '[.flows[] | .sent - .received] | add')" 100
at_least "... in both directions" \
	"$(of_load '[.flows[] | .sent - .received] | min')" 50
is "... as many as are told one by one" \
	"$(of_load '[.ranges[].n] | add')" \
	"$(of_load '[.flows[] | .sent - .received] | add')"
at_least "... which is seen as a gap in ms" \
	"$(of_load '[.flows[].longest_gap_ms] | min | floor')" 90
one_class
load_during watch_class 1:2
is "all in the class where it is expected" "$(of_classes .strays)" 0
is "... at all times" "$(of_classes .seconds_out_of_class)" 0
load_during watch_class 1:3
at_least "all in another class: packets are told" \
	"$(of_classes .strays)" 300
at_least "... and for how long, in ms" \
	"$(of_classes '.seconds_out_of_class * 1000 | floor')" 300
at_least "... and in which class" "$(of_classes '[.classes[] |
	select(.class == "1:2" and (.expected | not)) | .packets][0]')" 300

# cycles N TOPOLOGY: so many of it, and what they cost.
cycles()
{
	local what="$2: $1 times kill -9, start and reload" rc

	"$NET_HERE/restart_loss" --cycles "$1" --topology "$2" --json \
		>"$LAB_DIR/restart.json" 2>"$LAB_DIR/restart.err"
	rc=$?
	note "$(cat "$LAB_DIR/restart.json" "$LAB_DIR/restart.err")"
	is "$what" "$(of_restart .cycles)" "$1"
	at_least "... under traffic" "$(of_restart .sent)" 8000
	is "... no packet is lost" "$(of_restart .lost)" 0
	is "... nor arrives twice" "$(of_restart .twice)" 0
	is "... nor a byte of TCP" "$(of_restart .tcp_missing)" 0
	is "... all that arrives has passed its class" \
		"$(of_restart .packets_not_in_class)" 0
	is "... and at no time another" \
		"$(of_restart .seconds_out_of_class)" 0
	is "... so the exit status is 0" $rc 0
}

# Two subscribers have each other's class: the sum of packets does not tell.
swapped()
{
	local rc

	"$NET_HERE/restart_loss" --cycles 1 --swap --topology linux --json \
		>"$LAB_DIR/restart.json" 2>"$LAB_DIR/restart.err"
	rc=$?
	note "$(cat "$LAB_DIR/restart.json" "$LAB_DIR/restart.err")"
	is "two subscribers change places: exit status" $rc 1
	at_least "... packets are told" "$(of_restart .packets_not_in_class)" 100
	is "... in the classes of both, down and up" \
		"$(of_restart '.wrong_classes | length')" 4
	is "... which all are looked at" \
		"$(of_restart .seconds_out_of_class)" 0
	is "... and nothing is lost" "$(of_restart .lost)" 0
}

of_restart()
{
	jq "$1" "$LAB_DIR/restart.json"
}

cycles $CYCLES linux
cycles 2 xdp
cycles 2 stick
swapped
timeout 10 "$NET_HERE/restart_loss" --signal FOO >/dev/null \
	2>"$LAB_DIR/restart.err"
is "another signal than KILL and TERM is refused at once" $? 1
like "... with what was expected" "$(cat "$LAB_DIR/restart.err")" \
	'"FOO": expected KILL, QUIT or TERM'
