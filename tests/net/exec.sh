#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl exec: a command gets the maps it asked for, just these, and may do no
# more with them than was said; whoever asks badly harms nobody.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CHILD="$(PATH=/usr/bin:/bin:$PATH type -P python3) -B $NET_HERE/exec_child.py"
GROUP=54321 # of nobody else

# A daemon that is asked by a thousand at once holds a thousand descriptors.
FILES=8192

exec_clean()
{
	$CHILD clean "$ROOT/bin/lqosctl" -S "$LAB_BUS" exec "$@"
}

# judged KEY ARGUMENT...: of what a command with these finds.
judged()
{
	local key=$1

	shift
	exec_clean "$@" -- $CHILD judge | jq -c "$key"
}

ALL_WELL='[.count,.numbered,.named,.agrees,.btf,.programs,.distinct]'
WELL='[true,true,true,true,true,true,true]'

# gets N ARGUMENT...: as many maps, all as they are told.  3 tests.
gets()
{
	local n=$1

	shift
	exec_clean "$@" -- $CHILD judge >"$LAB_DIR/judged"
	is "$n maps: that many, a variable each" \
		"$(jq -c '[.n,.variables]' "$LAB_DIR/judged")" "[$n,$n]"
	is "$n maps: numbers, names, ids, sizes and types" \
		"$(jq -c "$ALL_WELL" "$LAB_DIR/judged")" "$WELL"
	is "$n maps: no descriptor besides" \
		"$(jq -c .strays "$LAB_DIR/judged")" "[]"
}

nobody()
{
	setpriv --reuid=65534 --regid=$GROUP --clear-groups "$@"
}

# What exec says when it refuses.
refusal()
{
	exec_clean "$@" -- true 2>&1
}

nobody_refusal()
{
	nobody $CHILD clean "$ROOT/bin/lqosctl" -S "$LAB_BUS" exec "$@" -- true \
		2>&1
}

status_of()
{
	"$@" >"$LAB_DIR/out" 2>"$LAB_DIR/err" </dev/null
	echo $?
}

# Descriptors of the daemon, once the last client's are closed.
daemon_fds()
{
	local n before=-1 i

	for ((i = 0; i < 40; i++)); do
		n=$(find "/proc/$LAB_DAEMON/fd" -mindepth 1 | wc -l)
		[ "$n" != "$before" ] || break
		before=$n
		sleep 0.25
	done
	echo "$n"
}

audited()
{
	grep -c 'granted to uid' "$LAB_LOG"
}

numbers()
{
	gets 1 -m throughput:tp_slots
	gets 64 -m 'many:many_0[0-5]?' -m 'many:many_06[0-3]'
	gets 300 -m 'many:many_*'
	is "what is in the three-hundredth is its own" \
		"$(exec_clean -m many:many_299 -- $CHILD read many:many_299 \
			<<<0)" 2b010000
	is "in the order they were asked for" \
		"$(judged .first -m many:many_007 -m throughput:tp_totals \
			-m many:many_003)" \
		'["many:many_007","throughput:tp_totals","many:many_003"]'
	is "each once, however often it was asked for" \
		"$(judged .n -m many:many_007 -m 'many:many_00?' -m many_007)" 10
	is "a name alone is a module's or a map's" \
		"$(judged .n -m tp_slots -m 'many_00[0-4]')" 6
	is "without -m it is all that are not private" \
		"$(judged '[.n,.access]')" \
		"[$(ctl -j maps | jq '[.[] | select(.access != "private")] |
			length'),[\"ro\"]]"
	is "another prefix" "$($CHILD clean "$ROOT/bin/lqosctl" -S "$LAB_BUS" exec \
		-e MINE -m many:limits -- $CHILD judge MINE | jq -c "$ALL_WELL")" \
		"$WELL"
	is "one exec in another: the second's maps alone" \
		"$(exec_clean -m 'many:many_0*' -- "$ROOT/bin/lqosctl" \
			-S "$LAB_BUS" exec -m many:limits -- $CHILD judge |
			jq -c '[.n,.variables,.numbered,.strays]')" "[1,1,true,[]]"
	is "... but for another prefix it has both" \
		"$(exec_clean -m 'many:many_00?' -- "$ROOT/bin/lqosctl" \
			-S "$LAB_BUS" exec -e MINE -m many:limits -- \
			sh -c 'echo "$LQOS_MAPS;$MINE_MAPS" | tr ";" "\n" | wc -l')" 11
	is "descriptors that the caller had are the command's, too" \
		"$(exec 9</dev/null && $CHILD clean sh -c 'exec 9</dev/null;
			exec "$@"' sh "$ROOT/bin/lqosctl" -S "$LAB_BUS" exec \
			-m many:limits -- $CHILD judge | jq -c .strays)" "[9]"
}

commands()
{
	is "the command's exit status" \
		"$(status_of exec_clean -m many:limits -- sh -c 'exit 7')" 7
	is "... its signal" \
		"$(status_of exec_clean -m many:limits -- sh -c 'kill -9 $$')" 137
	is "no such command" "$(status_of exec_clean -m many:limits -- nosuch)" 127
	is "what cannot be run" "$(status_of exec_clean -m many:limits -- /etc)" 126
	is "without a command it is \$SHELL" \
		"$(echo 'echo $BPF_NUM_MAPS' | SHELL=/bin/sh exec_clean \
			-m many:limits)" 1
	is "options behind the command are its own" \
		"$(exec_clean -m many:limits echo -m --rw)" "-m --rw"
	is "usage" "$(status_of exec_clean --nonsense)" 2
	like "... says where to look" "$(cat "$LAB_DIR/err")" "lqosctl exec --help"
	is "no daemon" "$(status_of "$ROOT/bin/lqosctl" -S "$LAB_DIR/none" exec \
		true)" 1
	like "... says so" "$(cat "$LAB_DIR/err")" "no lqosd listens on"
	kill -STOP "$LAB_DAEMON"
	is "a daemon that hangs" "$(status_of exec_clean --timeout=1 true)" 1
	kill -CONT "$LAB_DAEMON"
	like "... is given up" "$(cat "$LAB_DIR/err")" \
		"core.grant: no answer from lqosd in 1000 ms"
}

rights()
{
	local bits='"lookup": "ok", "update": "Operation not permitted"'

	is "read only: root reads, and writes nothing" \
		"$(exec_clean -m throughput:tp_slots -- $CHILD rights \
			throughput:tp_slots)" \
		"{$bits, \"map\": \"Permission denied\"}"
	is "read only: nobody neither writes, freezes, maps nor gets another" \
		"$(nobody $CHILD clean "$ROOT/bin/lqosctl" -S "$LAB_BUS" exec \
			-m throughput:tp_slots -- $CHILD rights \
			throughput:tp_slots | jq -c '[.[]]')" \
		'["ok",'"$(printf '"Operation not permitted",%.0s' 1 2 3)"'"Permission denied"]'
	is "--rw: root writes what its module lets him" \
		"$(exec_clean --rw -m many:limits -- $CHILD rights many:limits |
			jq -c .update)" '"ok"'
	is "--rw and *: what may only be read is that" \
		"$(judged '[.n,.access]' --rw -m 'many:many_00?' -m 'many:l*')" \
		'[11,["ro","rw"]]'
	is "programs, for root" "$(judged '[.n_programs > 1,.programs,.n]' \
		-p 'steering:*')" "[true,true,0]"
	is "types come along, those of a module once" \
		"$(judged .n_btf -m 'many:many_0*' -m throughput:tp_slots)" 2
}

refusals()
{
	mapfile -t MANY < <(printf -- '-mx\n%.0s' {1..300})
	like "--rw of one that may only be read" \
		"$(refusal --rw -m throughput:tp_slots)" \
		"throughput:tp_slots can only be read.* without --rw"
	like "... by its name alone, too" "$(refusal --rw -m tp_slots)" \
		"tp_slots can only be read"
	like "a name that would forge a line" "$(refusal -m $'tp_*\n<6>forged')" \
		"expected letters, digits"
	like "a private one" "$(refusal -m many:secret)" "many:secret is private"
	like "a ring buffer, which has its one reader" "$(refusal -m many:ring)" \
		"many:ring is private"
	like "settings" "$(refusal -m 'many:*rodata')" "is private"
	like "one that is not there" "$(refusal -m many:none)" \
		'no map is "many:none": expected MODULE:MAP'
	like "a program that is not there" "$(refusal -p many:none)" \
		'no program is "many:none"'
	like "nobody: to write" "$(nobody_refusal --rw -m many:limits)" \
		"root's, and you are uid 65534: ask without --rw"
	like "nobody: programs" "$(nobody_refusal -p 'steering:*')" \
		"root's, and you are uid 65534"
	is "nobody: to read" "$(nobody $CHILD clean "$ROOT/bin/lqosctl" \
		-S "$LAB_BUS" exec -m many:limits -- $CHILD judge |
		jq -c '[.uid,.n]')" "[65534,1]"
	chgrp 0 "$LAB_BUS"
	like "another group" "$(nobody_refusal -m many:limits)" \
		"may not open .*: join the group lqos or use sudo"
	chgrp $GROUP "$LAB_BUS"
	like "more patterns than are taken" \
		"$(refusal "${MANY[@]}")" "at most 256"
	like "fewer files than maps" "$(ulimit -n 100; refusal -m 'many:*')" \
		"ulimit -n"
}

audit()
{
	local before pid

	before=$(audited)
	pid=$(exec_clean -m many:limits -m many:notes -m throughput:tp_slots -- \
		sh -c 'echo $$')
	is "a grant is a line in the log" $(($(audited) - before)) 1
	is "... with who and what" "$(grep 'granted to uid' "$LAB_LOG" |
		tail -n 1)" "<6>core: granted to uid 0, pid $pid: ro \
many:limits,notes ro throughput:tp_slots"
	exec_clean -m throughput -m many:limits --rw -- true
	like "... all of a module, and what can be written" \
		"$(grep 'granted to uid' "$LAB_LOG" | tail -n 1)" \
		": ro throughput:\* rw many:limits\$"
	before=$((before + 1))
	nobody_refusal --rw -m many:limits >/dev/null
	is "... a refusal is none" $(($(audited) - before)) 1
	like "... and says so itself" "$(tail -n 5 "$LAB_LOG")" \
		"refused uid 65534 maps that can be written"
	for _ in {1..30}; do
		exec_clean -m many:limits -- true
	done
	is "thirty are thirty, whatever else is held back" \
		$(($(audited) - before)) 31
}

# reads: what DP_RECEIVED says, through the descriptors that the shell has.
reads()
{
	local a b

	printf '0\n1\n' >&"${READER[1]}"
	read -r -t 10 a <&"${READER[0]}"
	read -r -t 10 b <&"${READER[0]}"
	python3 -c 'import sys
print(sum(int.from_bytes(bytes.fromhex(a)[:8], "little")
	for a in sys.argv[1:]))' "$a" "$b"
}

restarts()
{
	local before after

	coproc READER { exec_clean -m datapath:dp_counters -- $CHILD read \
		datapath:dp_counters; }
	lab_subs ping -qc 20 -i 0.01 "$LAB_INET4" >/dev/null
	before=$(reads)
	at_least "the shell reads what is counted" "$before" 40
	lab_stop KILL
	lab_subs ping -qc 20 -i 0.01 "$LAB_INET4" >/dev/null
	after=$(reads)
	at_least "lqosd is killed: it reads on" "$after" $((before + 40))
	begin
	before=$(reads)
	lab_subs ping -qc 20 -i 0.01 "$LAB_INET4" >/dev/null
	at_least "lqosd is back: it reads on, in the maps that were taken over" \
		"$(reads)" $((before + 40))
	lab_stop
	at_least "lqosd is stopped: what was counted last can be read" \
		"$(reads)" $((before + 40))
	echo end >&"${READER[1]}"
	wait "$READER_PID"
	is "the shell ends well" $? 0
	begin
}

# storm HOW: a thousand at once.  3 tests.
storm()
{
	local all=$2 before after

	before=$(daemon_fds)
	$CHILD clean python3 -B "$NET_HERE/exec_storm.py" "$LAB_BUS" 1000 "$1" \
		>"$LAB_DIR/storm"
	is "a thousand at once ($1): answered, or refused with a reason" \
		"$(jq -c '[.answered,.refused,.neither]' "$LAB_DIR/storm")" "$all"
	after=$(daemon_fds)
	is "... no descriptor is left in the daemon" "$after" "$before"
	is "... which answers others" "$(ctl -j status | jq -r .state)" running
}

storms()
{
	local rss

	storm well '[1000,0,0]'
	storm die '[500,0,0]'
	storm half '[500,0,0]'
	storm gifts '[1000,0,0]'
	storm lies '[500,500,0]'
	storm pipe '[1000,0,0]'
	one_of_many
	rss=$(lqosd_rss)
	storm pipe '[1000,0,0]'
	[ -n "$LQOS_SANITIZED" ] && rss=$((rss * 4)) # quarantine
	at_least "memory does not grow with them" $((rss + 4096)) "$(lqosd_rss)"
}

# A BPF file system that anybody may pin in, for the daemon alone.
open_bpffs()
{
	lab_stop
	mkdir "$LAB_DIR/bpffs"
	# shellcheck disable=SC2034
	LAB_UNDER=(unshare -m sh -c "mount -t bpf -o mode=1777 bpf \"$LAB_DIR/bpffs\" &&
		exec \"\$@\"" sh)
	daemon -M "$ROOT/lib/lqos:$SO" -m throughput,many
	chgrp $GROUP "$LAB_BUS"
	like "where anybody may pin: nobody has none, and is told why" \
		"$(nobody_refusal -m many:limits)" \
		"files in the BPF file system $LAB_DIR/bpffs.*chmod 0700"
	is "... root has" "$(judged .n -m many:limits)" 1
	rmdir "$LAB_DIR/bpffs"
	# shellcheck disable=SC2016
	like "... the doctor says so" "$(unshare -m sh -c \
		'mount -t bpf -o mode=1777 bpf "$1" && exec "$2" doctor' \
		sh "$LAB_BPFFS" "$ROOT/bin/lqosctl" 2>&1)" \
		"others than root can make files in $LAB_BPFFS"
}

# Who is not root has a hundred at once, and nobody waits for him for long.
one_of_many()
{
	local took refused

	nobody $CHILD clean python3 -B "$NET_HERE/exec_storm.py" "$LAB_BUS" 1000 \
		pipe >"$LAB_DIR/storm" &
	sleep 0.1
	took=$(date +%s%N)
	ctl status >/dev/null
	took=$((($(date +%s%N) - took) / 1000000))
	wait $!
	at_least "nobody, a thousand times: others are answered meanwhile" \
		$((1000 * (LQOS_SANITIZED ? 4 : 1))) $took
	note "after $took ms"
	refused=$(jq .refused "$LAB_DIR/storm")
	at_least "... most are refused" "$refused" 700
	is "... and the rest answered" "$(jq '.answered + .refused' \
		"$LAB_DIR/storm")" 1000
	like "... with a reason" "$(nobody_refusal -m many:limits)" \
		"^(|.*uid 65534 has had 100 grants at once: wait 100 ms.*)\$"
}

lqosd_rss()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$LAB_DAEMON/status"
}

few_files()
{
	local limit

	lab_stop
	FILES=700
	begin
	limit=$(daemon_fds)
	$CHILD clean python3 -B "$NET_HERE/exec_storm.py" "$LAB_BUS" 600 well \
		>"$LAB_DIR/storm"
	is "few files: each is answered, or refused with a reason" \
		"$(jq '.answered + .refused' "$LAB_DIR/storm")" 600
	is "few files: no descriptor is left" "$(daemon_fds)" "$limit"
	is "few files: it answers" "$(ctl -j status | jq -r .state)" running
}

begin()
{
	# shellcheck disable=SC2034
	LAB_UNDER=(sh -c "ulimit -n $FILES; exec \"\$@\"" sh)
	daemon -M "$ROOT/lib/lqos:$SO" -m steering,throughput,lqtop,many
	chgrp $GROUP "$LAB_BUS"
	settle
}

needs_closed_bpffs
net_begin 96
SO=$LAB_DIR/module
check "the module of the test is built" "$NET_TOP/tests/module/build" "$ROOT" "$SO"
lab_ini
begin
numbers
commands
rights
refusals
audit
restarts
storms
few_files
open_bpffs
is "no sanitizer reports" "$(sanitizer_reports)" ""
