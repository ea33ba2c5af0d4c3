#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosd is killed at chosen calls to the kernel, all along a start that takes
# over, while numbered packets flow: none is lost, and what is counted goes on.
#
#	MOMENTS_STEP	every how many calls of bpf() (17)

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

BUILD=${LQOS_BUILD:-$ROOT/..}
STEP=${MOMENTS_STEP:-17}
TO="100.64.4.3 2001:db8:1016::1 100.64.8.1 2001:db8:1005::1"
DIED=0
WRONG=

# traced ARGUMENT...: lqosd under strace, in the background.
traced()
{
	setpriv --pdeathsig TERM nsenter --net="/run/netns/$LAB_NS_SHAPER" -- \
		strace -f -qq "$@" "$ROOT/sbin/lqosd" -c "$LAB_INI" \
		</dev/null >>"$LAB_LOG" 2>&1 &
	TRACED=$!
}

# Has it begun to answer?  If so, it is killed.
runs()
{
	ctl -j status >/dev/null 2>&1 || return
	kill -9 "$(cat "$LAB_DIR/run/lock")"
}

wait_traced()
{
	local i rc=1

	{
		for ((i = 0; i < 600; i++)); do
			kill -0 "$TRACED" || break
			[ "$rc" -eq 0 ] || { runs && rc=0; }
			sleep 0.05
		done
		wait "$TRACED"
	} 2>/dev/null
	return $rc
}

chain()
{
	bpftool -j map dump pinned "$LAB_PINS/maps/datapath/lqos_ingress" |
		jq length
}

# die_at CALL N: at its Nth; or it runs, where there are fewer of them.
die_at()
{
	traced -e trace="$1" -e inject="$1:signal=KILL:when=$2" -o /dev/null
	wait_traced || DIED=$((DIED + 1))
	[ "$(chain)" = 1 ] || WRONG+=" $1 $2"
}

calls()
{
	grep -c " $1(" "$LAB_DIR/trace"
}

received()
{
	ctl -j status | jq .counters.total.received
}

of_load()
{
	jq "$1" "$LAB_DIR/load.json"
}

command -v strace >/dev/null || skip_all "no strace"
strace -qq -o /dev/null true 2>/dev/null || skip_all "nothing can be traced"
net_begin 9
PATH=$PATH:/usr/sbin:/sbin
lab_ini
daemon
make_htb
BEFORE=$(received)
lab_stop KILL

traced -e trace=bpf,rename,mkdir,unlink,rmdir,sendto -o "$LAB_DIR/trace"
wait_traced
at_least "a start calls the kernel many times" "$(calls bpf)" 100
# shellcheck disable=SC2086
setpriv --pdeathsig TERM "$BUILD/tests/net/seqload" \
	-s "/run/netns/$LAB_NS_SUBS" -i "/run/netns/$LAB_NS_INET" \
	-4 "$LAB_INET4" -6 "$LAB_INET6" -r 500 $TO \
	>"$LAB_DIR/load.json" 2>>"$LAB_LOG" &
LOAD=$!
sleep 1
for ((n = 1; n <= $(calls bpf); n += STEP)); do
	die_at bpf "$n"
done
for call in rename sendto rmdir; do
	for ((n = 1; n <= $(calls $call); n++)); do
		die_at $call "$n"
	done
done
for ((n = 1; n <= $(calls unlink); n += 4)); do
	die_at unlink "$n"
done
at_least "it died many times" "$DIED" 20
is "each time the chain that ran was whole" "$WRONG" ""
: >"$LAB_LOG"
daemon
is "the next start takes all maps over" \
	"$(grep -c 'taken over with what is in them, 0 discarded' "$LAB_LOG")" 1
sleep 0.5
kill -TERM $LOAD
wait $LOAD
at_least "packets were sent" "$(of_load '[.flows[].sent] | add')" 20000
is "none was lost" "$(of_load '[.flows[] | .sent - .received] | add')" 0
near "and all were counted" "$(($(received) - BEFORE))" \
	"$(of_load '[.flows[].sent] | add')" 5
lab_stop
is "a clean stop ends with status 0" $? 0
