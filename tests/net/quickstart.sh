#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# etc/quickstart: shows twenty subscribers with traffic, and leaves nothing
# however it ends.  Builds in build/quickstart.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

QUICKSTART=$NET_TOP/etc/quickstart
OUT=
PID=

# quickstart ARGUMENT...: in the background, with ^C as in a terminal.
quickstart()
{
	# Here, not in the child: who waits must not read of the run before.
	: >"$OUT"
	setsid python3 -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$QUICKSTART" "$@" \
		>"$OUT" 2>&1 </dev/null &
	PID=$!
}

# wait_for REGEX SECONDS: until that is in what it says.
wait_for()
{
	local i

	for ((i = 0; i < $2 * 10; i++)); do
		grep -Eq -- "$1" "$OUT" && return
		kill -0 "$PID" 2>/dev/null || return
		sleep 0.1
	done
}

# What a run left, by the pid that is in the names of all it makes.
left_by()
{
	local found

	for found in /run/lqos_lab_"$1"_* /run/netns/lqos_lab_"$1"_* \
		/sys/fs/bpf/lqos_lab_"$1"_*; do
		[ ! -e "$found" ] || echo "$found"
	done
	# Zombies wait for init alone.
	pgrep -a -f "lqos_lab_$1_"
	pgrep -a -g "$1" | grep -v '<defunct>$'
}

ended()
{
	wait "$PID"
	is "$1: exit status" $? "$2"
	is "$1: nothing is left" "$(left_by "$PID")" ""
}

# Circuits of the last table that have a rate other than 0 in it.
circuits_with_traffic()
{
	awk '/subscribers active$/ { delete seen }
	/^10[0-9][0-9] / {
		for (i = 3; i <= NF; i++)
			if ($i ~ /^[0-9.]+[kMG]$/)
				seen[$1]
	}
	END {
		for (c in seen)
			n++
		print n + 0
	}' "$OUT"
}

# tools: a PATH with all there is but apt-get, where some can be put in front.
tools()
{
	local tool

	mkdir -p "$LAB_DIR/bin" "$LAB_DIR/front"
	for tool in /usr/local/bin/* /usr/bin/* /usr/sbin/*; do
		[ "${tool##*/}" = apt-get ] ||
			ln -sf "$tool" "$LAB_DIR/bin/${tool##*/}"
	done
}

# instead NAME LINE...: such a program is found first.
instead()
{
	local name=$1

	shift
	printf '%s\n' '#!/bin/sh' "$@" >"$LAB_DIR/front/$name"
	chmod +x "$LAB_DIR/front/$name"
}

# fails DESCRIPTION REGEX COMMAND...: 1, one line that begins with its name.
fails()
{
	local description=$1 regex=$2 output rc

	shift 2
	output=$("$@" 2>&1 </dev/null)
	rc=$?
	is "$description: exit status" $rc 1
	like "$description: the reason" \
		"$(grep '^quickstart: ' <<<"$output")" "$regex"
	is "$description: in one line" \
		"$(grep -c '^quickstart: ' <<<"$output")" 1
}

[ "$(id -u)" -eq 0 ] || skip_all "not root"
[ ! -e "$NET_TOP/config.status" ] ||
	skip_all "$NET_TOP is configured itself: make distclean"
command -v python3 >/dev/null || skip_all "no python3"
[ -z "$LQOS_SANITIZED" ] ||
	skip_all "it builds lqos itself, the same whichever build is tried"
plan 36
trap net_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
lab_names
mkdir "$LAB_DIR" || bail "cannot make $LAB_DIR"
OUT=$LAB_DIR/out

quickstart --seconds 5
ended "five seconds" 0
is "five seconds: as many tables" \
	"$(grep -c 'of 20 subscribers active' "$OUT")" 5
at_least "five seconds: circuits with traffic" "$(circuits_with_traffic)" 18
is "five seconds: all twenty are in the tables" \
	"$(grep -o '^10[0-2][0-9] ' "$OUT" | sort -u | wc -l)" 20
FAILED_BEFORE=$FAILED
quickstart --seconds 1 --no-traffic
ended "again, without traffic" 0
is "again, without traffic: there is none" "$(circuits_with_traffic)" 0
[ "$FAILED" -eq "$FAILED_BEFORE" ] || note "$(cat "$OUT")"

quickstart --seconds 60
wait_for 'subscribers active' 120
kill -INT -- -"$PID"
ended "^C" 130
quickstart --seconds 60
wait_for 'subscribers active' 120
kill -TERM "$PID"
ended "kill" 143
quickstart --seconds 60 --build-dir "$LAB_DIR/build"
wait_for 'configuring: ' 60
kill -TERM "$PID"
ended "kill while it builds" 143

quickstart --seconds 60
wait_for 'subscribers active' 120
kill -KILL "$PID"
DEAD=$PID
wait "$PID" 2>/dev/null
quickstart --seconds 1
ended "the run after kill -9" 0
like "the run after kill -9: says what it does" "$(cat "$OUT")" \
	"removing what a dead run \\(pid $DEAD\\) left"
is "the run after kill -9: nothing is left of the dead one" \
	"$(left_by "$DEAD")" ""
[ "$FAILED" -eq "$FAILED_BEFORE" ] || note "$(cat "$OUT")"

python3 "$NET_HERE/onpty.py" 120 'Town Library' q "$QUICKSTART" >"$OUT"
is "on a terminal, until q: exit status" $? 0
like "on a terminal, until q: it was on the screen" "$(cat "$OUT")" \
	$'\033\\[\\?1049h'
like "on a terminal, until q: and is off it" "$(cat "$OUT")" \
	$'\033\\[\\?1049l'
python3 "$NET_HERE/onpty.py" 120 'Town Library' '\x03' "$QUICKSTART" >"$OUT"
is "on a terminal, until ^C: exit status" $? 130

"$QUICKSTART" --nonsense >"$OUT" 2>&1
is "an unknown option: exit status" $? 2
fails "not root" "not root.*sudo" \
	setpriv --reuid 65534 --regid 65534 --clear-groups \
	bash "$QUICKSTART"
tools
instead dpkg-query 'echo not-installed'
fails "no apt-get" "no apt-get: .*iperf3" \
	env PATH="$LAB_DIR/front:$LAB_DIR/bin" "$QUICKSTART"
instead apt-get 'echo E: no network' 'exit 100'
fails "apt-get fails" "lists of packages failed .*status 100.*network" \
	env PATH="$LAB_DIR/front:$LAB_DIR/bin" "$QUICKSTART"
rm "$LAB_DIR/front/"*
instead bpftool 'echo Error: Operation not permitted >&2' 'exit 255'
fails "no BPF" "no BPF.*Operation not permitted" \
	env PATH="$LAB_DIR/front:$PATH" "$QUICKSTART"
