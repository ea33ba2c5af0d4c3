#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl map: what the daemon's maps hold, asked of the daemon, and without it
# for nobody in a shell of lqosctl exec.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

GROUP=54321 # of nobody else
ADDRESS=100.64.1.1

# held SCRIPT EXEC_ARGUMENT...: what a shell says that holds maps, as nobody.
held()
{
	local script=$1

	shift
	PATH=$ROOT/bin:$PATH setpriv --reuid=65534 --regid=$GROUP --clear-groups \
		"$ROOT/bin/lqosctl" -S "$LAB_BUS" exec "$@" -- sh -c "$script" 2>&1
}

# offers DESCRIPTION REGEX WORD...: what the last word may become.
offers()
{
	local description=$1 regex=$2

	shift 2
	like "$description" "$(
		PATH=$ROOT/bin:$PATH
		export LQOS_BUS=$LAB_BUS
		# shellcheck source=etc/lqosctl.bash
		. "$NET_TOP/etc/lqosctl.bash"
		COMP_WORDS=(lqosctl "$@")
		COMP_CWORD=$#
		COMPREPLY=()
		_lqosctl
		echo "<${COMPREPLY[*]}>"
	)" "^<$regex>\$"
}

status_of()
{
	"$@" >"$LAB_DIR/out" 2>"$LAB_DIR/err" </dev/null
	echo $?
}

from_the_daemon()
{
	local slot

	is "list: what can be had" "$(ctl -j map list | jq length)" \
		"$(ctl -j maps | jq '[.[] | select(.access != "private")] | length')"
	is "... with the types of keys and values" \
		"$(ctl -j map list 'datapath:dp_owners4' |
			jq -c '.[] | [.type, .key, .value, .access]')" \
		'["lpm_trie","struct dp_key4","struct dp_owner","ro"]'
	is "get: whose an address is" \
		"$(ctl map get dp_owners4 $ADDRESS | jq -c 'keys')" \
		'["cpu","handle","slot"]'
	is "dump: by prefixes" "$(ctl map dump dp_owners4 |
		grep -c "^$ADDRESS/32 {\"slot\":")" 1
	slot=$(ctl -j map get dp_owners4 $ADDRESS | jq .value.slot)
	is "dump: as many packets as were sent, and no other's" \
		"$(ctl -j map dump tp_slots 2>/dev/null |
			jq -c '[.[] | [.key, .value.half[].packets[2]]]')" \
		"[[$slot,5,5]]"
	like "... what is zero is counted" "$(ctl map dump tp_slots 2>&1)" \
		"[0-9]+ entries that are all zero were left out"
	is "addresses in network order are text" \
		"$(ctl -j map dump dp_cache 2>/dev/null |
			jq -r '[.[].value.address] | unique[]')" "$ADDRESS"
	is "an entry's program is its id" "$(ctl -j map dump dp_flow |
		jq -c 'map([.key, .value > 0])')" "[[0,true]]"
}

changes()
{
	local key=address=192.0.2.7,port=443

	is "update: a new entry" "$(status_of ctl map update many:notes $key \
		count=18446744073709551615 balance=-3)" 0
	is "update: what is left out stays" "$(status_of ctl map update notes \
		$key text.0=104)" 0
	is "dump shows it" "$(ctl map dump notes)" \
		'{"address":"192.0.2.7","port":443,"reserved":0} {"count":"18446744073709551615","balance":-3,"text":[104,0,0,0]}'
	is "update: out of range" "$(status_of ctl map update notes $key \
		balance=2147483648)" 2
	like "... says the range" "$(cat "$LAB_DIR/err")" \
		"balance: expected a number from -2147483648 to 2147483647"
	is "update: of one that can only be read" \
		"$(status_of ctl map update tp_slots 1 half.0.bytes.0=1)" 1
	like "... says so" "$(cat "$LAB_DIR/err")" "tp_slots can only be read|read-only"
	is "delete" "$(status_of ctl map delete notes $key)" 0
	is "get: it is gone" "$(status_of ctl map get notes $key)" 1
	is "no such map" "$(status_of ctl map get nosuch 1)" 1
	like "... says so" "$(cat "$LAB_DIR/err")" 'no map is ".*nosuch"'
	is "a private one" "$(status_of ctl map dump many:secret)" 1
	like "... says so" "$(cat "$LAB_DIR/err")" "is private"
}

# of_python [ARGUMENT]: a script that runs lqosctl map.
of_python()
{
	echo "import subprocess; subprocess.run(\"lqosctl map get limits 3\"" \
		".split(), ${1-})"
}

in_a_shell()
{
	is "nobody, with descriptors alone: types come along" \
		"$(held "lqosctl map get dp_owners4 $ADDRESS" -m dp_owners4)" \
		"$(ctl map get dp_owners4 $ADDRESS)"
	like "... and writes nothing" \
		"$(held 'lqosctl map update limits 1 5' -m many:limits)" \
		"many:limits is read-only: root can"
	is "other maps are not there" \
		"$(held 'lqosctl map get tp_slots 1' -m many:limits)" \
		'lqosctl: map: there is no map "tp_slots", expected one of: many:limits'
	is "another prefix" "$(held 'lqosctl map -e MINE get limits 3' \
		-e MINE -m many:limits)" "$(ctl map get limits 3)"
	like "a shell that holds none" \
		"$(LQOS_MAPS='' "$ROOT/bin/lqosctl" map list 2>&1)" \
		"^lqosctl: map: this shell holds no maps, as LQOS_MAPS is empty: "
	like "... whatever is wanted" \
		"$(LQOS_MAPS='' "$ROOT/bin/lqosctl" map get limits 3 2>&1)" \
		"^lqosctl: map: this shell holds no maps"
	like "Python closes descriptors: what keeps them" \
		"$(held "python3 -c '$(of_python)'" -m many:limits)" \
		"closed on the way \\(in Python, close_fds=False keeps it open\\)"
	is "... and does" "$(held "python3 -c '$(of_python close_fds=False)'" \
		-m many:limits)" "$(ctl map get limits 3)"
	is "root in a shell writes" "$(PATH=$ROOT/bin:$PATH "$ROOT/bin/lqosctl" \
		-S "$LAB_BUS" exec --rw -m many:limits -- \
		sh -c 'lqosctl map update limits 2 77 && lqosctl map get limits 2')" 77
}

# A shell that stays, while the daemon goes.
without_the_daemon()
{
	local before after

	coproc SHELL_HELD { held 'while read -r key; do
		lqosctl map get tp_slots "$key"; done' -m tp_slots; }
	echo 1 >&"${SHELL_HELD[1]}"
	read -r -t 20 before <&"${SHELL_HELD[0]}"
	lab_stop
	lab_subs ping -qc 3 -i 0.01 "$LAB_INET4" >/dev/null
	echo 1 >&"${SHELL_HELD[1]}"
	read -r -t 20 after <&"${SHELL_HELD[0]}"
	eval "exec ${SHELL_HELD[1]}>&-"
	wait "$SHELL_HELD_PID"
	at_least "lqosd is gone: the shell reads on" \
		"$(jq .half[0].packets[2] <<<"$after")" \
		"$(jq .half[0].packets[2] <<<"$before")"
	is "without a daemon and a shell" "$(status_of ctl map list)" 1
	like "... says so" "$(cat "$LAB_DIR/err")" "no lqosd listens on"
}

watched()
{
	local watcher

	setsid "$ROOT/bin/lqosctl" -S "$LAB_BUS" map watch -i 0.2 tp_slots \
		>"$LAB_DIR/watch" 2>&1 </dev/null &
	watcher=$!
	sleep $((2 * SLOW))
	lab_subs ping -qc 5 -i 0.01 "$LAB_INET4" >/dev/null
	sleep $((2 * SLOW))
	kill $watcher
	wait $watcher 2>/dev/null
	like "watch: what changed, and how fast it grew" "$(cat "$LAB_DIR/watch")" \
		" changed 1 \{\"half\".* half\.0\.packets\.2\+[0-9.]+/s"
}

# grants: so many the daemon has logged.
grants()
{
	grep -c 'granted to uid' "$LAB_LOG"
}

completion()
{
	offers "its verbs" "delete" map de
	local before

	before=$(grants)
	offers "its maps" "tp_slots" map dump tp_sl
	offers "... but not what nobody gets" "" map dump secr
	is "... which grants nothing" "$(grants)" "$before"
	ctl map get limits 3 >/dev/null
	is "... as what is done with them does" "$(grants)" $((before + 1))
	# shellcheck disable=SC2016 # for the shell in there
	is "in a shell, those that it holds, without the daemon" \
		"$(PATH=$ROOT/bin:$PATH "$ROOT/bin/lqosctl" -S "$LAB_BUS" exec \
			-m limits -m tp_slots -- bash -c '. "$0"
			LQOS_BUS=/no/such _lqosctl_maps | sort | xargs' \
			"$NET_TOP/etc/lqosctl.bash")" "limits tp_slots"
	offers "its options" "--interval=" map watch --int
}

needs_closed_bpffs
net_begin 44
SO=$LAB_DIR/module
check "the module of the test is built" "$NET_TOP/tests/module/build" "$ROOT" "$SO"
lab_ini
daemon -M "$ROOT/lib/lqos:$SO" -m steering,throughput,lqtop,flow,many
chgrp $GROUP "$LAB_BUS"
settle
lab_subs ping -qc 5 -i 0.01 "$LAB_INET4" >/dev/null
from_the_daemon
changes
in_a_shell
watched
completion
without_the_daemon
is "no sanitizer reports" "$(sanitizer_reports)" ""
