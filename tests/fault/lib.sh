# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the suites in this folder, on top of tests/net/lib.sh: lqosd under nth.so,
# and what has to be as it was.

# shellcheck source=tests/net/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../net/lib.sh"

NTH=${LQOS_BUILD:-${ROOT%/root}}/tests/fault/.libs/nth.so

# Which kinds of calls there are, and the errno that each fails with.
declare -A ERRORS=([bpf_]=ENOMEM [open]=EMFILE [mmap]=ENOMEM [sock]=EMFILE
	[send]=ENOBUFS [recv]=ENOBUFS [ctrl]=EIO [file]=ENOSPC [loop]=ENOMEM
	[heap]=ENOMEM)
declare -A NUMBERS=([EPERM]=1 [ENOENT]=2 [EINTR]=4 [EIO]=5 [EAGAIN]=11
	[ENOMEM]=12 [EACCES]=13 [EBUSY]=16 [EEXIST]=17 [EINVAL]=22 [EMFILE]=24
	[ENOSPC]=28 [EROFS]=30 [ENOBUFS]=105)

# ---- nth.so -----------------------------------------------------------------

# fault_begin: from here on the lab's daemon runs with it.
fault_begin()
{
	[ "$(uname -m)" = x86_64 ] || skip_all "nth.c knows x86-64 only"
	[ -f "$NTH" ] || bail "no $NTH: make check TESTS="
	FAULT=$LAB_DIR/fault
	mkdir -p "$LAB_DIR"
	: >"$FAULT.trace"
	arm open 0
	LAB_UNDER=(env "LD_PRELOAD=$NTH" "FAULT_FILE=$FAULT")
}

# words NUMBER...: 32 bits each.
words()
{
	local number format=

	for number; do
		format+=$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' \
			$((number & 255)) $((number >> 8 & 255)) \
			$((number >> 16 & 255)) $((number >> 24 & 255)))
	done
	# shellcheck disable=SC2059
	printf "$format"
}

# arm KIND N [ERRNO]: the Nth call from now on is to fail; 0: none, but they are
# counted.  All of the file but what the process counts for itself.
arm()
{
	{
		printf %s "$1"
		words "$2" "${NUMBERS[${3:-${ERRORS[$1]}}]}" 0 0
	} 1<>"$FAULT"
	[ "$(stat -c %s "$FAULT")" -ge 28 ] || truncate -s 28 "$FAULT"
}

# clock SECONDS: how far from the right time lqosd's clock is.
clock()
{
	words "$1" | dd of="$FAULT" bs=4 seek=6 conv=notrunc status=none
}

# fault_word N
fault_word()
{
	od -An -td4 -j $(($1 * 4)) -N 4 "$FAULT" | tr -d ' '
}

counted()
{
	fault_word 3
}

struck()
{
	fault_word 4
}

blocks()
{
	fault_word 5
}

fds()
{
	local all=("/proc/$LAB_DAEMON/fd"/*)

	echo ${#all[@]}
}

# ---- What lqosd changes -----------------------------------------------------

# Of the machine; the same before a start and after a stop, or a failed start.
machine()
{
	local side

	for side in subs inet; do
		ip -n "$LAB_NS_SHAPER" -d link show dev $side |
			grep -oE 'promiscuity [0-9]+|xdp.*'
		lab_shaper tc qdisc show dev $side
		lab_shaper ethtool -k $side | grep vlan-offload
	done
	lab_shaper bpftool net show
	# mappings.new is there for a moment; where it cannot be removed, the
	# next start does that.
	find "$LAB_PINS" "$LAB_DIR/run" -mindepth 1 ! -name lock \
		! -name mappings.new 2>/dev/null
	[ ! -e "$LAB_PINS" ] || echo "$LAB_PINS"
}

passes()
{
	lab_subs ping -q -n -c 1 -W 2 -I 100.64.1.1 "$LAB_INET4" >/dev/null
}

answers()
{
	ctl -t 3 -j status >/dev/null 2>&1
}

# ended SECONDS: STATUS is lqosd's, or hang: it did not end, and is killed.
ended()
{
	local i

	for ((i = 0; i < $1 * 50; i++)); do
		kill -0 "$LAB_DAEMON" 2>/dev/null || break
		sleep 0.02
	done
	STATUS=
	! kill -9 "$LAB_DAEMON" 2>/dev/null || STATUS=hang
	{ wait "$LAB_DAEMON"; } 2>/dev/null
	STATUS=${STATUS:-$?}
	LAB_DAEMON=
}

# where: the call that failed last, from the inside out, without libc's part.
where()
{
	sed -nE 's/^([^ ]*)\((.*)\).*/\1 \2/p' "$FAULT.trace" |
		grep -vE '/(nth|libc|ld-linux[^ ]*)\.so' |
		while read -r object at; do
			[[ $at != +* || $object != "$ROOT"/* ]] ||
				at=$(addr2line -fsie "$object" "${at#+}" |
					paste -sd ' ')
			echo "${object##*/} $at"
		done
}
