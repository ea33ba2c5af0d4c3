#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Maps to "tc exec bpf import" of this machine's tc, and to lqosctl exec
# --tc-import from who sends as tc did, and from who lies.
#
# A tc that is built with libbpf can only receive: it refuses maps of the kind
# that it would export, and knows no others.  The sender that is not ours is
# tc_sender.py.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SENDER=$NET_HERE/tc_sender.py
LQOSCTL=$ROOT/bin/lqosctl

# What a command holds: a line for the number of maps, and one with number and
# the kernel's id for each.
write_show()
{
	cat >"$LAB_DIR/show" <<'SHOW'
echo "maps $BPF_NUM_MAPS"
env | sed -n 's/^BPF_MAP\([0-9]*\)=/\1 /p' | sort -n |
while read -r number fd; do
	echo "$number $(sed -n 's/^map_id:\t*//p' "/proc/self/fdinfo/$fd")"
done
SHOW
}

# ids MODULE...: of their maps that may be had, by lqosd.
ids()
{
	local module

	for module; do
		ctl -j maps | jq -r --arg wanted "$module" '.[] | select(
			.module == $wanted and .access != "private") | .id'
	done
}

# shown FIRST ID...: what show has to say of them.
shown()
{
	local number=$1 id

	shift
	echo "maps $#"
	for id; do
		echo "$number $id"
		number=$((number + 1))
	done
}

SOCKETS=0

# waits: until somebody does, at SOCKET.
waits()
{
	local i

	for ((i = 0; i < 100 * SLOW; i++)); do
		[ ! -S "$SOCKET" ] || return 0
		sleep 0.05
	done
	bail "nobody waits at $SOCKET: $(cat "$LAB_DIR/import.err")"
}

# import COMMAND...: which waits at SOCKET, in the background.
import()
{
	setsid timeout $((60 * SLOW)) "$@" >"$LAB_DIR/import.out" \
		2>"$LAB_DIR/import.err" </dev/null &
	IMPORT=$!
	waits
}

# tc_imports [COMMAND...]: "tc exec bpf import".
tc_imports()
{
	SOCKET=$LAB_DIR/maps.$((++SOCKETS))
	import tc exec bpf import "$SOCKET" run "$@"
}

# lqosctl_imports [ARGUMENT...]: "lqosctl exec --tc-import".
lqosctl_imports()
{
	SOCKET=$LAB_DIR/maps.$((++SOCKETS))
	import "$LQOSCTL" exec --tc-import "$SOCKET" "$@"
}

# imported: what it did; its exit status.
imported()
{
	wait "$IMPORT"
	STATUS=$?
	OUT=$(<"$LAB_DIR/import.out")
	ERR=$(<"$LAB_DIR/import.err")
}

# send HOW: by the sender that is not ours, maps of the module throughput.
send()
{
	ctl exec -m 'throughput:*' -- python3 -B "$SENDER" "$SOCKET" "$1"
}

to_tc()
{
	local sent throughput steering

	mapfile -t throughput < <(ids throughput)
	mapfile -t steering < <(ids steering)
	tc_imports sh "$LAB_DIR/show"
	sent=$(ctl export --tc "$SOCKET" -m 'throughput:*' 2>&1)
	is "to tc: status" $? 0
	like "to tc: what was sent" "$sent" "^sent to $SOCKET: BPF_MAP0 is \
throughput:tp_slots \\(ro\\), BPF_MAP1 is throughput:.* \\(ro\\)$"
	imported
	is "to tc: the command's status" "$STATUS" 0
	is "to tc: each map is where it says" "$OUT" "$(shown 0 "${throughput[@]}")"
	# A filter of names, and two of them.
	tc_imports sh "$LAB_DIR/show"
	ctl export --tc "$SOCKET" -m tp_slots -m 'steering:st_*' >/dev/null
	imported
	is "to tc: of two modules" "$OUT" \
		"$(shown 0 "${throughput[0]}" "${steering[@]}")"
}

# In a shell that holds them nobody needs the daemon.
of_a_shell()
{
	local throughput

	mapfile -t throughput < <(ids throughput)
	tc_imports sh "$LAB_DIR/show"
	ctl exec -m 'throughput:*' -- env LQOS_BUS=/no/such \
		"$LQOSCTL" export --tc "$SOCKET" >/dev/null
	is "of a shell: status" $? 0
	imported
	is "of a shell: the maps" "$OUT" "$(shown 0 "${throughput[@]}")"
	tc_imports sh "$LAB_DIR/show"
	ctl exec -m 'throughput:*' -- env LQOS_BUS=/no/such \
		"$LQOSCTL" export --tc "$SOCKET" -m tp_totals >/dev/null
	imported
	is "of a shell: one of them" "$OUT" "$(shown 0 "${throughput[1]}")"
	like "of a shell: it has no such map" \
		"$(ctl exec -m 'throughput:*' -- "$LQOSCTL" export --tc /no/such \
			-m 'flow:*' 2>&1)" \
		'no map of this shell is "flow:\*": lqosctl map list shows'
	like "of a shell: a descriptor that was closed" \
		"$(ctl exec -m tp_slots -- sh -c 'unset BPF_MAP0
		LQOS_MAPS=$(echo "$LQOS_MAPS" | sed "s/:[0-9]*:/:0:/")
		"$0" export --tc /no/such' "$LQOSCTL" 2>&1)" \
		"throughput:tp_slots: .*: was it closed on the way"
}

# many N COMMAND...: in a shell that holds so many maps, with as many names.
many()
{
	local n=$1

	shift
	# shellcheck disable=SC2016 # for the shell in there
	ctl exec -m 'throughput:*' -- bash -c 'maps=()
	IFS=";" read -ra some <<<"$LQOS_MAPS"
	for ((i = 0; i < $0; i++)); do
		maps+=("${some[i % ${#some[@]}]}")
	done
	LQOS_MAPS=$(IFS=";"; echo "${maps[*]}") exec "$@"' "$n" "$@"
}

as_many_as_there_can_be()
{
	local throughput wanted=() i

	mapfile -t throughput < <(ids throughput)
	for ((i = 0; i < 64; i++)); do
		wanted+=("${throughput[i % ${#throughput[@]}]}")
	done
	tc_imports sh "$LAB_DIR/show"
	many 64 "$LQOSCTL" export --tc "$SOCKET" >/dev/null
	imported
	is "64 maps to tc" "$OUT" "$(shown 0 "${wanted[@]}")"
	lqosctl_imports sh "$LAB_DIR/show"
	many 64 "$LQOSCTL" export --tc "$SOCKET" >/dev/null
	imported
	is "64 maps to lqosctl" "$OUT" "$(shown 0 "${wanted[@]}")"
	like "65 maps are refused" \
		"$(many 65 "$LQOSCTL" export --tc /no/such 2>&1)" \
		"65 maps are too many for tc, which takes 64 at most: .* with -m"
}

to_lqosctl()
{
	local throughput before

	mapfile -t throughput < <(ids throughput)
	lqosctl_imports sh "$LAB_DIR/show"
	is "to lqosctl: only for this user" "$(stat -c %a "$SOCKET")" 600
	ctl export --tc "$SOCKET" -m 'throughput:*' >/dev/null
	imported
	is "to lqosctl: status" "$STATUS" 0
	is "to lqosctl: silence" "$ERR" ""
	is "to lqosctl: the maps" "$OUT" "$(shown 0 "${throughput[@]}")"
	check "to lqosctl: the socket is gone" [ ! -e "$SOCKET" ]

	lqosctl_imports sh "$LAB_DIR/show"
	send honest
	imported
	is "from python: the maps, by the numbers that it gave them" "$OUT" \
		"$(shown 100 "${throughput[@]}")"

	# shellcheck disable=SC2016 # for the shell in there
	lqosctl_imports -e OTHER sh -c 'echo "$OTHER_MAPS" | tr ";" "\n" |
		cut -d : -f 1,2,4,9 && sed -n "s/^map_id:.//p" \
			"/proc/self/fdinfo/$OTHER_MAP_TC_TP_TOTALS"'
	ctl export --tc "$SOCKET" -m tp_slots -m tp_totals >/dev/null
	imported
	is "to lqosctl: our own variables" "$OUT" \
		"tc:tp_slots:${throughput[0]}:ro
tc:tp_totals:${throughput[1]}:ro
${throughput[1]}"

	# Three descriptors, and that of the folder that ls reads.
	before=$(sh -c 'ls /proc/self/fd | wc -l' </dev/null)
	lqosctl_imports sh -c 'ls /proc/self/fd | wc -l'
	ctl export --tc "$SOCKET" -m 'throughput:*' >/dev/null
	imported
	is "to lqosctl: no stray descriptor" "$OUT" \
		$((before + ${#throughput[@]}))
}

# lie HOW SAYS
lie()
{
	lqosctl_imports touch "$LAB_DIR/ran"
	send "$1"
	imported
	like "$1: refused" "$STATUS $ERR" "^1 lqosctl: exec: refused what came to \
$SOCKET: $2"
	check "$1: nothing ran, and the socket is gone" \
		[ ! -e "$LAB_DIR/ran" -a ! -e "$SOCKET" ]
}

lies()
{
	lie count_high "it is of 70 maps: expected 1 to 64"
	lie count_huge "it is of 60000 maps: expected 1 to 64"
	lie count_low "it is of 232 bytes: expected 124 for 1 maps"
	lie short "it is of 100 bytes: expected 232 for 4 maps"
	lie long "it is of 4232 bytes: expected at most 2392"
	lie empty "it is of 0 bytes: expected at least 88"
	lie version "it is of version 2: expected 1"
	lie no_rights "0 descriptors come with 4 maps"
	lie few "3 descriptors come with 4 maps"
	lie extra "5 descriptors come with 4 maps"
	lie flood "253 descriptors come with 4 maps"
	lie no_map "what comes as map 100 is no BPF map"
	lie size "map 100 has the value's size 128, and it says 4096"
	lie kind "map 100 has the type 2, and it says 29"
	lie same_id "maps 0 and 1 both have the id 100"
	lie large_id "map 1 has the id 4294967295: expected 0 to 65535"
	lie no_end "its object's name does not end"
}

others()
{
	local throughput nobody

	# Who may open the bus.
	nobody=(setpriv --reuid 65534 --clear-groups
		--regid "$(stat -c %g "$LAB_BUS")")
	mapfile -t throughput < <(ids throughput)
	lqosctl_imports touch "$LAB_DIR/ran"
	like "another user: is not let in" \
		"$("${nobody[@]}" "$LQOSCTL" -S "$LAB_BUS" export --tc "$SOCKET" 2>&1)" \
		"cannot send to $SOCKET: Permission denied"
	chmod 666 "$SOCKET"
	"${nobody[@]}" "$LQOSCTL" -S "$LAB_BUS" exec -m 'throughput:*' -- \
		python3 -B "$SENDER" "$SOCKET" honest
	imported
	like "another user: is refused" "$ERR" \
		"it is from uid 65534: expected uid 0 or root"
	check "another user: nothing ran, and the socket is gone" \
		[ ! -e "$LAB_DIR/ran" -a ! -e "$SOCKET" ]

	install -d -o 65534 "$LAB_DIR/nobody"
	SOCKET=$LAB_DIR/nobody/maps
	import "${nobody[@]}" "$LQOSCTL" exec --tc-import "$SOCKET" \
		sh "$LAB_DIR/show"
	like "another user's socket: root sends nothing there" \
		"$(ctl export --tc "$SOCKET" 2>&1)" \
		"$SOCKET belongs to uid 65534, who would get the maps: .*root"
	"${nobody[@]}" "$LQOSCTL" -S "$LAB_BUS" export --tc "$SOCKET" \
		-m 'throughput:*' >/dev/null
	imported
	is "neither is root: the maps" "$OUT" "$(shown 0 "${throughput[@]}")"
	import "${nobody[@]}" "$LQOSCTL" exec --tc-import "$SOCKET" \
		"$LQOSCTL" map get tp_totals 0
	"${nobody[@]}" "$LQOSCTL" -S "$LAB_BUS" export --tc "$SOCKET" \
		-m tp_totals >/dev/null
	imported
	like "neither is root: values come without types" "$OUT$ERR" \
		"^hex:[0-9a-f]+\$"
	import "${nobody[@]}" "$LQOSCTL" exec --tc-import "$SOCKET" \
		"$LQOSCTL" map dump -j -a tp_totals
	"${nobody[@]}" "$LQOSCTL" -S "$LAB_BUS" export --tc "$SOCKET" \
		-m tp_totals >/dev/null
	imported
	is "neither is root: an array's keys are numbers all the same" \
		"$(jq -c 'map(.key | type) | unique' <<<"$OUT")$ERR" '["number"]'
	import "${nobody[@]}" "$LQOSCTL" exec --tc-import "$SOCKET" \
		sh "$LAB_DIR/show"
	send honest
	imported
	is "from root, who may" "$OUT" "$(shown 100 "${throughput[@]}")"
}

# What ends the wait.
waiting()
{
	local began=$SECONDS screen

	SOCKET=$LAB_DIR/maps
	like "nobody sends: why" "$("$LQOSCTL" exec --timeout 1 \
		--tc-import "$SOCKET" true 2>&1)" \
		"^lqosctl: exec: no maps came to $SOCKET in 1 s"
	at_least "nobody sends: it took its time" $((SECONDS - began)) 1
	check "nobody sends: the socket is gone" [ ! -e "$SOCKET" ]
	screen=$(python3 -B "$NET_HERE/onpty.py" $((10 * SLOW)) waiting '\x03' \
		"$LQOSCTL" exec --tc-import "$SOCKET" true)
	is "^C: status" $? 130
	like "^C: what it waited for" "$screen" \
		"waiting at $SOCKET: lqosctl export --tc $SOCKET sends maps"
	check "^C: the socket is gone" [ ! -e "$SOCKET" ]
	lqosctl_imports true
	kill -s TERM $IMPORT
	imported
	check "terminated: the socket is gone" [ ! -e "$SOCKET" ]
	: >"$SOCKET"
	like "what is there already: is let be" "$("$LQOSCTL" exec \
		--tc-import "$SOCKET" true 2>&1)" "$SOCKET: Address already in use"
	check "what is there already: stays" [ -f "$SOCKET" ]
}

refusals()
{
	ctl export >"$LAB_DIR/usage" 2>&1
	is "no path: status" $? 2
	like "no path: why" "$(<"$LAB_DIR/usage")" "expected --tc PATH"
	ctl export --tc /no/such more >/dev/null 2>&1
	is "a word too many: status" $? 2
	ctl exec --tc-import /no/such -m x:y true >"$LAB_DIR/usage" 2>&1
	is "--tc-import with -m: status" $? 2
	like "--tc-import with -m: why" "$(<"$LAB_DIR/usage")" \
		"expected no -m, -p or --rw"
	like "nobody waits" "$(ctl export --tc /no/such 2>&1)" \
		'start "tc exec bpf import /no/such run ..." first'
	like "no such map" "$(ctl export --tc /no/such -m 'none:*' 2>&1)" \
		'no map is "none:\*"'
}

tc exec bpf help 2>&1 | grep -q import || skip_all "no tc with exec bpf"
net_begin 81
lab_ini modules=steering,throughput,flow
write_show
daemon
to_tc
of_a_shell
as_many_as_there_can_be
to_lqosctl
lies
others
waiting
refusals
lab_stop
is "no report of a sanitizer" "$(sanitizer_reports)" ""
