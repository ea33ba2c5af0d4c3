#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosd is killed with -9 at random moments: of a start over what there is, of
# a reload, a request and a stop, and of a start where that stop had got to.
# Packets pass, the next start comes up with all, and the last stop leaves
# nothing.  (tests/net/moments.sh kills at chosen calls of a start.)
#
# usage: kill9.sh [--long] [--seed N]
#	--long	200 moments, not 25

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TIMES=${LQOS_LONG:+200}
TIMES=${TIMES:-25}
SEED=$$
while [ $# != 0 ]; do
	case $1 in
	--long) TIMES=200 ;;
	--seed) SEED=$2 && shift ;;
	*) echo "$0: $1: see its first lines" >&2 && exit 2 ;;
	esac
	shift
done
RANDOM=$SEED
WRONG=
declare -A KILLED=([start]=0 [reload]=0 [ask]=0 [stop]=0)

now_ms()
{
	echo $(($(date +%s%N) / 1000000))
}

# nap MS
nap()
{
	sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
}

# What each takes, in ms, when it is left alone.
measure()
{
	local began

	began=$(now_ms)
	daemon
	MOST[start]=$(($(now_ms) - began))
	began=$(now_ms)
	lab_stop
	MOST[stop]=$(($(now_ms) - began))
	MOST[reload]=60
	MOST[ask]=60
}

# up: what runs, or a start over what the killed one has left.
up()
{
	[ -n "$LAB_DAEMON" ] && answers && return
	lab_start "$ROOT" 2>>"$LAB_LOG" && return
	WRONG+="moment $N, $WHAT: no start: $(tail -n 3 "$LAB_LOG")"$'\n'
	return 1
}

begin()
{
	case $1 in
	start)
		lab_stop KILL
		lab_spawn "$ROOT"
		;;
	reload) kill -HUP "$LAB_DAEMON" ;;
	ask) ctl steering add 192.0.2.0/28 classid=1:fff0 cpu=0 circuit_id=x \
		>/dev/null 2>&1 & ;;
	stop) kill -TERM "$LAB_DAEMON" ;;
	esac
}

moment()
{
	local whats=(start start reload ask stop) ms

	WHAT=${whats[RANDOM % 5]}
	up || return
	ms=$((RANDOM * (MOST[$WHAT] + 20) / 32768))
	: >"$LAB_LOG"
	begin "$WHAT"
	nap "$ms"
	WHAT+=" after $ms ms"
	lab_stop KILL
	KILLED[${WHAT%% *}]=$((KILLED[${WHAT%% *}] + 1))
	passes || WRONG+="moment $N, $WHAT: no packet passes"$'\n'
	up || return
	passes || WRONG+="moment $N, $WHAT: none after the next start"$'\n'
	[ "$(ctl -j status | jq '.interfaces | length')" = 2 ] ||
		WRONG+="moment $N, $WHAT: not both interfaces"$'\n'
}

declare -A MOST
net_begin 6
note "seed $SEED"
lab_ini
MACHINE=$(machine)
measure
note "start $((MOST[start])) ms, stop $((MOST[stop])) ms"
for ((N = 1; N <= TIMES; N++)); do
	moment
done
is "$TIMES moments: ${KILLED[start]} of starts, ${KILLED[reload]} of reloads, \
${KILLED[ask]} of requests, ${KILLED[stop]} of stops" "$WRONG" ""
WHAT=last
up
ctl steering del 192.0.2.0/28 >/dev/null 2>&1
is "as many maps are pinned as after a first start" \
	"$(find "$LAB_PINS" -name 'maps_*' | wc -l)" 0
lab_stop
is "the last stop: status 0" $? 0
rm -f "$LAB_DIR/run/mappings"
is "... and all is as it was at first" "$(machine)" "$MACHINE"
is "no report of a sanitizer" "$(sanitizer_reports)" ""
