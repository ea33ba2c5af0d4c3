#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl graft of two stages, while one call of the daemon's fails, whichever:
# both programs run, or neither, it says so, and nothing is left of them.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PROGRAM=${LQOS_BUILD:-${ROOT%/root}}/bpf/throughput.bpf.o

# What runs in the two stages of the module: "own own", or "graft graft".
run_now()
{
	ctl -j status | jq -r '[.chains.observe[0], .chains.observe_tc[0] |
		if .grafted then "graft" else "own" end] | join(" ")'
}

# The ids of what is in the slots of both chains.
slots()
{
	local stage

	for stage in observe observe_tc; do
		bpftool -j map dump pinned \
			"$LAB_PINS/maps/datapath/lqos_$stage" 2>/dev/null
	done
}

graft()
{
	ctl graft throughput "$@" >"$LAB_DIR/graft.out" 2>&1
}

# one N: the Nth call fails; ODD gets what is not as it should be.
one()
{
	local rc now

	arm "$KIND" "$1"
	graft "$PROGRAM"
	rc=$?
	[ "$(struck)" = 0 ] || HITS=$((HITS + 1))
	arm "$KIND" 0
	now=$(run_now)
	case $rc/$now in
	0/"graft graft")
		graft --undo || ODD+="$1: no undo; "
		;;
	1/"own own")
		[ -s "$LAB_DIR/graft.out" ] || ODD+="$1: not a word; "
		;;
	1/"graft graft")
		# All is done, and there was no memory to say so.
		[ "$KIND" = heap ] || ODD+="$1: done, and not said; "
		graft --undo || ODD+="$1: no undo; "
		;;
	*) ODD+="$1: status $rc, $now; " ;;
	esac
	[ "$(slots)" = "$OWN" ] || ODD+="$1: other programs in the chains; "
}

# undo_one N: of a graft that is there.
undo_one()
{
	local rc now

	arm "$KIND" "$1"
	graft --undo
	rc=$?
	arm "$KIND" 0
	now=$(run_now)
	case $rc/$now in
	0/"own own") graft "$PROGRAM" || ODD+="$1: no graft; " ;;
	1/"graft graft") ;;
	*) ODD+="undo $1: status $rc, $now; " ;;
	esac
}

net_begin 12
fault_begin
lab_ini modules=throughput,lqtop
daemon -i inet
OWN=$(slots)
is "both stages at once" "$(graft "$PROGRAM" && run_now)" "graft graft"
is "... and back" "$(graft --undo && run_now)" "own own"
settle # what is read each second is open by then
FDS=$(fds)
for KIND in bpf_ heap; do
	if [ $KIND = heap ] && [ -n "$LQOS_SANITIZED" ]; then
		for N in 1 2 3; do
			skip "heap ($N of 3)" "it is the sanitizer's"
		done
		continue
	fi
	arm $KIND 0
	graft "$PROGRAM"
	CALLS=$(counted)
	graft --undo
	ODD=
	HITS=0
	# Some are of what else the daemon does meanwhile.
	STEP=1
	[ $KIND = bpf_ ] || STEP=$((CALLS / 40 + 1))
	for ((N = 1; N <= CALLS; N += STEP)); do
		one $N
	done
	note "$KIND: $CALLS calls, $HITS failed"
	is "$KIND: all or nothing" "$ODD" ""
	at_least "$KIND: of these failed" "$HITS" $((CALLS / STEP / 2 + 1))
	check "$KIND: it answers" answers
done
KIND=bpf_
ODD=
graft "$PROGRAM"
for N in 1 2 3; do
	undo_one $N
done
is "undo: all or nothing" "$ODD" ""
graft --undo
is "as many descriptors as before" "$(fds)" "$FDS"
lab_stop
is "clean stop: status 0" $? 0
