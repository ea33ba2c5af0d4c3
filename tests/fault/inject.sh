#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each call that lqosd makes fails once: on the way up, over what an earlier run
# has left, at a reload, a request and on the way down.  README.md has the
# oracle.
#
# usage: inject.sh [--long] [--seed N] [--most N] [PATH [KIND [N [ERRNO]]]]
#	--long	every call, not a sample
#	--seed	of the sample: another one
#	--most	so many of a path's calls of a kind (6, or 40 where LQOS_LONG is
#		set)
#	PATH	start, takeover, reload, ask, tick or stop
#	KIND	bpf_, open, mmap, sock, send, recv, ctrl, file, loop or heap
#	N	that one only, with lqosd's log and where it was

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MOST=${LQOS_LONG:+40}
MOST=${MOST:-6}
SEED=1
while [[ ${1:-} == --* ]]; do
	case $1${2:+ $2} in
	--long*) MOST=1000000 ;;
	"--most "[1-9]*) MOST=$2 && shift ;;
	"--seed "[0-9]*) SEED=$2 && shift ;;
	*) echo "$0: $1: see its first lines" >&2 && exit 2 ;;
	esac
	shift
done
PATHS=(start takeover reload ask tick stop)
KINDS=(bpf_ open mmap sock send recv ctrl file loop heap)
# A sanitizer's allocator comes before nth.so's, and ends the process when it is
# denied memory by the kernel.
[ -z "$LQOS_SANITIZED" ] || KINDS=(bpf_ open sock send recv ctrl file loop)
# bpffs is full, an interface is another's.
MORE="ENOSPC EBUSY"
# one of WORD CHOICE...
one_of()
{
	[[ " ${*:2} " == *" $1 "* ]] && return
	echo "$0: \"$1\": expected one of ${*:2}" >&2
	exit 2
}
[ -z "${1:-}" ] || { one_of "$1" "${PATHS[@]}"; PATHS=("$1"); }
[ -z "${2:-}" ] || { one_of "$2" "${!ERRORS[@]}"; KINDS=("$2") MORE=; }
ONLY=${3:-}
ERROR=${4:-}
[ -z "$ERROR" ] || one_of "$ERROR" "${!NUMBERS[@]}"
PATIENCE=20
[ -z "$LQOS_SANITIZED" ] || { PATIENCE=60; [ "$MOST" -gt 6 ] || MOST=3; }
RANDOM=$SEED

# wrong WHAT: of this call.
wrong()
{
	WRONG+="$P $KIND $N: $*"$'\n'
	WRONG+=$(where | head -n 7 | sed 's/^/    /')$'\n'
	WRONG+=$(tail -n 5 "$LAB_LOG" | sed 's/^/    | /')$'\n'
}

# An error was logged, and it or what a library said before names the errno; the
# dynamic linker has words of its own.
told()
{
	grep -q '^<3>' "$LAB_LOG" && grep -qE "^<[34]>.*($(text_of)|\
out of memory|\
: -${NUMBERS[${ERROR:-${ERRORS[$KIND]}}]}\b|cannot be loaded: )" "$LAB_LOG"
}

text_of()
{
	python3 -c "import errno, os
print(os.strerror(errno.${ERROR:-${ERRORS[$KIND]}}))"
}

sanitizers()
{
	[ -z "$(sanitizer_reports)" ] || wrong "sanitizer: $(sanitizer_reports)"
}

# Of libraries, where nothing can be done here, as lines of the stack.  A call
# that ends the process, for it does not look at a failure or takes it for a
# reason; TAP notes it.
#	getgrnam	glibc's (2.36): nss_database_check_reload_and_get() writes
#			to a state that there is no memory for (SIGSEGV),
#			nss_database_reload_1() asserts that a line was read
#			(SIGABRT), and the dynamic linker ends a process that
#			has no memory for the thread's data of an NSS module
#			(status 127)
KNOWN='/libc\.so[^ ]*\(getgrnam\+'
# Goes on without it, and what fails for that has another reason.
#	bpf_btf_load	libbpf, of types that the kernel's verifier asks for later
#	+0x1abf7	libbpf's kernel_supports(), which has no name (Debian's
#			1.1.2-0+deb12u1 for amd64): no feature of the kernel
#			that it fails to look for is there
UNTOLD='/libbpf[^ ]*\((bpf_btf_load\+|\+0x1abf7\))'

known()
{
	grep -qE "$KNOWN" "$FAULT.trace" || return
	note "$P $KIND $N: died of $(where | head -n 1), which is known"
}

# died WHAT: of a signal, or so; a daemon that ran was not to.
died()
{
	ended 1
	known || wrong "died at a $1: exit status $STATUS"
}

# It did not start: with a status and words, and nothing is there of it.
refused_well()
{
	REFUSED=$((REFUSED + 1))
	case $1 in
	hang) wrong "it neither runs nor ends" ;;
	0) wrong "it ended with status 0" ;;
	1) told || grep -qE "$UNTOLD" "$FAULT.trace" ||
		wrong "no error names \"$(text_of)\"" ;;
	*) known || wrong "exit status $1" ;;
	esac
}

# Who died has left all to the next one.
next_mends()
{
	arm "$KIND" 0
	if lab_start "$ROOT"; then
		lab_stop || wrong "the next stop: exit status $?"
	else
		wrong "the next one does not start"
	fi
}

# What an error has named may stay as it is; the next case has it as at first.
as_before()
{
	local now side

	now=$(machine)
	[ "$now" != "$MACHINE" ] || return
	for side in subs inet; do
		grep -q "^<3>.*$side: cannot turn rx-vlan" "$LAB_LOG" || continue
		lab_shaper ethtool -K $side rxvlan on
	done
	now=$(machine)
	[ "$now" != "$MACHINE" ] || return
	wrong "left: $(diff <(echo "$MACHINE") <(echo "$now") | grep '^[<>]')"
	local_ctl detach >/dev/null
	for side in subs inet; do
		lab_shaper ethtool -K $side rxvlan on
		lab_shaper tc qdisc del dev $side clsact 2>/dev/null
	done
	rm -rf "$LAB_PINS" "$LAB_DIR/run"
}

local_ctl()
{
	lab_shaper "$ROOT/bin/lqosctl" -c "$LAB_INI" "$@" 2>&1
}

# Waits until the daemon answers (0), or is no more.
up()
{
	local end=$((SECONDS + PATIENCE))

	while [ "$SECONDS" -lt "$end" ]; do
		[ ! -S "$LAB_BUS" ] || ! answers || return 0
		kill -0 "$LAB_DAEMON" 2>/dev/null || return 1
		sleep 0.02
	done
	return 1
}

# ---- The paths --------------------------------------------------------------

# start: where there was nothing.
start_call()
{
	arm "$KIND" "$N" "$ERROR"
	lab_spawn "$ROOT"
	if up; then
		STRUCK=$(struck)
		WORKED=$((WORKED + 1))
		passes || wrong "it runs, and no packet passes"
		arm "$KIND" 0
		kill -TERM "$LAB_DAEMON"
		ended $PATIENCE
		[ "$STATUS" = 0 ] || wrong "stopped: exit status $STATUS"
	else
		STRUCK=$(struck)
		ended $PATIENCE
		refused_well "$STATUS"
		[[ $STATUS == [01] ]] || next_mends
	fi
	as_before
}

start_count()
{
	arm "$KIND" 0
	lab_spawn "$ROOT"
	up || bail "no lqosd"
	COUNT=$(counted)
	lab_stop
}

chain()
{
	bpftool -j map dump pinned "$LAB_PINS/maps/datapath/lqos_ingress" |
		jq length
}

whole()
{
	passes || wrong "no packet passes"
	[ "$(chain)" = 1 ] || wrong "the chain is not whole: $(chain)"
	[ "$(lab_shaper bpftool -j net show | jq '.[0].xdp | length')" = 2 ] ||
		wrong "not attached: $(lab_shaper bpftool net show)"
	[ "$(local_ctl -j pins | jq '[.attached[] |
		select(.interface != "-")] | length')" = 4 ] ||
		wrong "not all is attached: $(local_ctl pins)"
}

# takeover: of what a killed run has left, which stays where this fails.
takeover_call()
{
	arm "$KIND" "$N" "$ERROR"
	lab_spawn "$ROOT"
	if up; then
		STRUCK=$(struck)
		WORKED=$((WORKED + 1))
		arm "$KIND" 0
		lab_stop KILL
	else
		STRUCK=$(struck)
		ended $PATIENCE
		refused_well "$STATUS"
	fi
	whole
}

takeover_begin()
{
	lab_start "$ROOT" || bail "no lqosd"
	lab_stop KILL
}

takeover_count()
{
	arm "$KIND" 0
	lab_spawn "$ROOT"
	up || bail "no lqosd"
	COUNT=$(counted)
	lab_stop KILL
}

takeover_end()
{
	arm open 0
	lab_start "$ROOT" || bail "no lqosd"
	kill -TERM "$LAB_DAEMON"
	ended $PATIENCE
	is "takeover: the last one ends with status 0" "$STATUS" 0
	is "takeover: ... and all is as it was at first" "$(machine)" "$MACHINE"
}

# Which file lqosd goes by: who has what in steering's own tables.
mapped()
{
	ctl -t 10 -j steering list 2>/dev/null |
		jq -r '.[] | "\(.ip) \(.circuit_id)"' | sort | sha1sum
}

# again: SIGHUP, and until it has said how that went.
again()
{
	local i

	: >"$LAB_LOG"
	kill -HUP "$LAB_DAEMON"
	for ((i = 0; i < PATIENCE * 100; i++)); do
		grep -qE 'files (not )?read again' "$LAB_LOG" && return
		kill -0 "$LAB_DAEMON" 2>/dev/null || return
		sleep 0.01
	done
	return 1
}

other_file()
{
	if [ "$FILE" = a ]; then FILE=b; else FILE=a; fi
	cp "$LAB_DIR/$FILE.csv" "$LAB_DIR/some.csv"
}

reload_begin()
{
	cp "$NET_TOP/etc/ShapedDevices.csv" "$LAB_DIR/a.csv"
	sed 's/100\.64\.1\.1,/100.64.1.201,/; /^1009,/d' "$LAB_DIR/a.csv" \
		>"$LAB_DIR/b.csv"
	FILE=b
	other_file
	lab_ini "shaped_devices=$LAB_DIR/some.csv" watch_files=no
	lab_start "$ROOT" || bail "no lqosd"
	declare -gA IS
	for _ in 1 2 3 4; do
		again
		IS[$FILE]=$(mapped)
		other_file
	done
	other_file
	again
	sleep 1.2
	FDS=$(fds) BLOCKS=$(blocks) BEGAN=$FILE
}

reload_count()
{
	other_file
	arm "$KIND" 0
	again
	COUNT=$(counted)
}

reload_call()
{
	local was=$FILE

	other_file
	arm "$KIND" "$N" "$ERROR"
	again || wrong "a reload that never ends"
	STRUCK=$(struck)
	arm "$KIND" 0
	if ! kill -0 "$LAB_DAEMON" 2>/dev/null; then
		died reload
		reload_begin
		return
	fi
	if grep -q 'files read again' "$LAB_LOG"; then
		WORKED=$((WORKED + 1))
		[ "$(mapped)" = "${IS[$FILE]}" ] || grep -q '^<[34]>' "$LAB_LOG" ||
			wrong "said to have worked, and has not"
	else
		REFUSED=$((REFUSED + 1))
		told || wrong "no error names \"$(text_of)\""
		[ "$(mapped)" = "${IS[$was]}" ] || wrong "not what was there"
	fi
	passes || wrong "no packet passes"
	again
	[ "$(mapped)" = "${IS[$FILE]}" ] || wrong "the next one does not mend it"
}

reload_end()
{
	sleep 1.2
	[ "$FILE" = "$BEGAN" ] || { other_file; again; sleep 1.2; }
	is "reload: as many files are open as before" "$(fds)" "$FDS"
	within_few "reload: as many blocks of memory as before"
	lab_stop
	is "reload: lqosd ends with status 0" $? 0
	is "reload: all is as it was at first" "$(machine)" "$MACHINE"
	lab_ini
}

within_few()
{
	local now rc=0

	if [ -n "$LQOS_SANITIZED" ]; then
		skip "$1" "the sanitizer counts them, at the end"
		return
	fi
	now=$(blocks)
	[ $((now - BLOCKS)) -le 8 ] || rc=1
	result $rc "$1" "there were $BLOCKS, there are $now"
	note "blocks in use: $BLOCKS before, $now after"
}

# ask: requests, of which one changes something, and a reader of the feed.
requests()
{
	ctl -t 5 -j call core.status
	ctl -t 5 steering add 192.0.2.0/28 classid=1:fff0 cpu=0 circuit_id=x
	ctl -t 5 -j steering tree
	ctl -t 5 -j flow top
	ctl -t 5 steering del 192.0.2.0/28
	timeout 5 "$ROOT/bin/lqtop" -S "$LAB_BUS" -b -n 1 -o json
} >"$LAB_DIR/answers" 2>&1

ask_begin()
{
	lab_start "$ROOT" || bail "no lqosd"
	requests
	requests
	sleep 1.2
	FDS=$(fds) BLOCKS=$(blocks)
}

ask_count()
{
	arm "$KIND" 0
	requests
	COUNT=$(counted)
}

ask_call()
{
	arm "$KIND" "$N" "$ERROR"
	requests
	STRUCK=$(struck)
	arm "$KIND" 0
	if ! kill -0 "$LAB_DAEMON" 2>/dev/null; then
		died request
		ask_begin
		return
	fi
	answers || wrong "no longer answers"
	ctl -t 10 steering del 192.0.2.0/28 >/dev/null 2>&1
	passes || wrong "no packet passes"
	if [ -s "$LAB_DIR/answers" ] && ! grep -q '^lqosctl:' "$LAB_DIR/answers"; then
		WORKED=$((WORKED + 1))
	else
		REFUSED=$((REFUSED + 1))
	fi
}

ask_end()
{
	requests
	rm -f "$LAB_DIR/run/mappings"
	sleep 1.2
	is "ask: as many files are open as before" "$(fds)" "$FDS"
	within_few "ask: as many blocks of memory as before"
	lab_stop
	is "ask: lqosd ends with status 0" $? 0
	is "ask: all is as it was at first" "$(machine)" "$MACHINE"
}

# tick: what it looks at every second is not lost for a look that failed.
tick_begin()
{
	lab_start "$ROOT" || bail "no lqosd"
	sleep 2.2 # it opens more at its first tick
	FDS=$(fds) BLOCKS=$(blocks)
}

tick_count()
{
	arm "$KIND" 0
	sleep 1.05
	COUNT=$(counted)
}

tick_call()
{
	local was

	was=$(ctl -t 10 -j status | jq -c '.interfaces | map(.mode)')
	arm "$KIND" "$N" "$ERROR"
	sleep 1.05
	STRUCK=$(struck)
	arm "$KIND" 0
	answers || wrong "no longer answers"
	kill -0 "$LAB_DAEMON" 2>/dev/null || bail "died: $(<"$LAB_LOG")"
	[ "$(ctl -t 10 -j status | jq -c '.interfaces | map(.mode)')" = \
		"$was" ] || wrong "the interfaces were $was"
	! grep -E 'is gone|taken off|detached' "$LAB_LOG" >/dev/null ||
		wrong "taken for gone"
	passes || wrong "no packet passes"
	WORKED=$((WORKED + 1))
}

tick_end()
{
	is "tick: as many files are open as before" "$(fds)" "$FDS"
	within_few "tick: as many blocks of memory as before"
	lab_stop
	is "tick: lqosd ends with status 0" $? 0
	is "tick: all is as it was at first" "$(machine)" "$MACHINE"
}

# stop: what cannot be put back is named, and the next stop does it.
stop_call()
{
	arm open 0
	lab_start "$ROOT" || bail "no lqosd"
	: >"$LAB_LOG"
	arm "$KIND" "$N" "$ERROR"
	kill -TERM "$LAB_DAEMON"
	ended $PATIENCE
	STRUCK=$(struck)
	case $STATUS in
	hang | 12[89] | 1[3-9]? | 2??) wrong "stopped: exit status $STATUS" ;;
	esac
	if [ "$(machine)" = "$MACHINE" ]; then
		WORKED=$((WORKED + 1))
		return
	fi
	REFUSED=$((REFUSED + 1))
	grep -q '^<[34]>' "$LAB_LOG" || wrong "not as at first, and no word of it"
	arm open 0
	lab_start "$ROOT" || bail "no lqosd"
	lab_stop || wrong "the next stop: exit status $?"
	as_before
}

stop_count()
{
	arm open 0
	lab_start "$ROOT" || bail "no lqosd"
	arm "$KIND" 0
	lab_stop
	COUNT=$(counted)
}

# ---- All of them ------------------------------------------------------------

# sample COUNT: which calls.
sample()
{
	local i

	if [ "$1" -le "$MOST" ]; then
		seq "$1"
		return
	fi
	for ((i = 0; i < MOST; i++)); do
		echo $(($1 * i / MOST + 1 + RANDOM % ($1 / MOST)))
	done
}

kind_of_path()
{
	local which began=$SECONDS

	WRONG='' WORKED=0 REFUSED=0 MISSED=0 COUNT=0
	"${P}_count"
	which=$(sample "$COUNT")
	[ -z "$ONLY" ] || which=$ONLY
	# A start makes calls of each kind, or they are not seen.
	[[ $COUNT != 0 || $P != @(start|takeover) ]] || wrong "no such call"
	for N in $which; do
		: >"$LAB_LOG"
		: >"$FAULT.trace"
		"${P}_call"
		[ "$STRUCK" -gt 0 ] || MISSED=$((MISSED + 1))
		sanitizers
		[ -z "$ONLY" ] || note "$(cat "$LAB_LOG")
$(where)"
	done
	[ "$MISSED" = 0 ] || [ "$MISSED" -lt "$(wc -w <<<"$which")" ] ||
		wrong "none of them was reached"
	is "$P, $KIND${ERROR:+ with $ERROR}: $(wc -w <<<"$which") of $COUNT calls failed: \
$WORKED times it went on, $REFUSED it refused" "$WRONG" ""
	note "$((SECONDS - began)) s, $MISSED of them were not reached"
}

path()
{
	P=$1
	[ "$(type -t "${P}_begin")" != function ] || "${P}_begin"
	for KIND in "${KINDS[@]}"; do
		kind_of_path
	done
	[ -z "$MORE" ] || [[ $P != @(start|takeover) ]] || {
		KIND=bpf_
		for ERROR in $MORE; do
			kind_of_path
		done
		ERROR=
	}
	[ "$(type -t "${P}_end")" != function ] || "${P}_end"
}

declare -A ENDS=([start]=0 [takeover]=2 [reload]=4 [ask]=4 [tick]=4 [stop]=0)
TESTS=1
for P in "${PATHS[@]}"; do
	TESTS=$((TESTS + ${#KINDS[@]} + ENDS[$P]))
	[[ $P != @(start|takeover) ]] ||
		TESTS=$((TESTS + $(wc -w <<<"$MORE")))
done
net_begin $TESTS
note "seed $SEED"
fault_begin
lab_ini
MACHINE=$(machine)
for P in "${PATHS[@]}"; do
	path "$P"
done
