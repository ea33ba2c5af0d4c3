#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl graft: other programs in the places of a module's own while numbered
# packets pass: none is lost, none is counted twice or by nobody, what does not
# fit is refused and changes nothing, and a new daemon runs its own.  And what
# they print comes out of lqosctl debug.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

UDP=$NET_HERE/udp_numbers.py
ADDRESS=100.64.1.1
CIRCUIT=1001
NAME=gr_$$ # of programs: not those of a second run
THROUGHPUT=${LQOS_BUILD:-${ROOT%/root}}/bpf/throughput.bpf.o
RATE=$((5000 / PACE))
[ -z "$LQOS_SANITIZED" ] || RATE=$((RATE / 2))

# ---- Programs ---------------------------------------------------------------

# build VARIANT: of graft.bpf.c, against what is installed.
build()
{
	clang -g -O2 -target bpf -mcpu=v3 -Wall -Werror -Wno-unused-function \
		-I"$ROOT/include" -I"/usr/include/$(gcc -print-multiarch)" \
		"-DGR_$1" "-DGR_NAME=$NAME" -c "$NET_HERE/graft.bpf.c" \
		-o "$LAB_DIR/$1.bpf.o"
}

graft()
{
	ctl graft "$@"
}

# What runs in a stage: ids, as they are in the chain's slots.
slots()
{
	bpftool -j map dump pinned "$CHAINS/lqos_$1" 2>/dev/null
}

links()
{
	ctl -j status | jq -c ".chains.$1"
}

# in_place STAGE KEY: of throughput's link.
in_place()
{
	ctl -j status | jq -r --arg stage "$1" --arg key "$2" \
		'.chains[$stage][] | select(.module == "throughput") | .[$key]'
}

# How many programs of ours are in the kernel, but for those in use.
loaded()
{
	bpftool -j prog list | jq --arg name "${NAME:0:15}" \
		'[.[] | select(.name // "" | startswith($name))] | length'
}

# Soon: the kernel takes its time.
loaded_soon()
{
	for _ in {1..50}; do
		[ "$(loaded)" != "$1" ] || return 0
		sleep 0.1
	done
	echo "$(loaded) programs $NAME are loaded, not $1"
	return 1
}

# own_map STAGE ROW: what the graft there has counted by itself.
own_map()
{
	local id

	for id in $(bpftool -j prog show id "$(in_place "$1" id)" |
		jq '.map_ids[]'); do
		[ "$(bpftool -j map show id "$id" | jq -r .name)" = gr_seen ] ||
			continue
		bpftool -j map dump id "$id" | jq ".[$2].formatted.value"
	done
}

# ---- Traffic ----------------------------------------------------------------

# stream PORT [COUNT]: numbered packets come down, for long by default.
stream()
{
	in_background "$LAB_NS_SUBS" python3 -B "$UDP" count $ADDRESS "$1" \
		>"$LAB_DIR/count.out"
	COUNTER=$!
	grows "$LAB_DIR/count.out" ready $COUNTER
	in_background "$LAB_NS_INET" python3 -B "$UDP" send $ADDRESS "$1" \
		"${2:-$((RATE * 300))}" $RATE >"$LAB_DIR/send.out"
	SENDER=$!
	sleep 0.3
}

is_streaming()
{
	kill -0 $SENDER
}

# stream_ends: RECEIVED is how many came.
stream_ends()
{
	wait $SENDER
	end $COUNTER
	RECEIVED=$(tail -n 1 "$LAB_DIR/count.out")
}

# stream_stops: now; SENT is how many went.
stream_stops()
{
	end $SENDER
	SENT=$(<"$LAB_DIR/send.out")
	stream_ends
}

# UDP packets of the circuit, as throughput counts them.
counted()
{
	settle
	take_frame
	cell $CIRCUIT throughput.down.udp.packets
}

# Those of the flow that has that port on the subscriber's side.
of_flow()
{
	ctl -j call flow.by_ip "{\"ip\": \"$ADDRESS\", \"detail\": true}" |
		jq "[.flows[] | select(.subscriber_port == $1) |
			.down_packets] | add // 0"
}

# ---- Suites -----------------------------------------------------------------

# The module's own program in its own place, again and again.
under_traffic()
{
	local before bad=0 id

	before=$(counted)
	stream 7001
	for _ in {1..20}; do
		LAST=$(in_place observe id)
		graft throughput "$THROUGHPUT" >"$LAB_DIR/graft.out" 2>&1 ||
			bad=$((bad + 1))
	done
	is "20 grafts of its own program" "$bad $(<"$LAB_DIR/graft.out")" \
		"0 throughput observe: tp_count (program $(in_place observe id)) \
runs in the place of tp_count (program ${LAST:-none})"
	is "status says so" "$(in_place observe grafted)" true
	like "... in its table, too" "$(ctl status)" \
		'throughput +tp_count +yes +[0-9]+ +tp_count'
	like "... and so does lqosctl graft" "$(graft)" \
		'^throughput observe: tp_count \(program [0-9]+\) runs in the place of its own tp_count$'
	id=$(in_place observe id)
	is "undone" "$(graft throughput --undo)" "throughput observe: its own \
tp_count runs again, not tp_count (program $id)"
	check "all that under traffic" is_streaming
	is "its own runs again" "$(in_place observe grafted)" null
	stream_stops
	is "none of $SENT packets was lost" "$RECEIVED" "$SENT"
	is "each was counted, and once" $(($(counted) - before)) "$SENT"
	is "the log says each, what and who" "$(grep -cE "graft by uid 0, pid \
[0-9]+: module throughput, stage observe: tp_count .* in the place of \
(its own )?tp_count" "$LAB_LOG")" 20
	is "... and who was given maps" "$(grep -cE "uid 0, pid [0-9]+ was \
given the [0-9]+ maps that module throughput runs on" "$LAB_LOG")" 20
	is "nothing to undo any more" "$(graft throughput --undo 2>&1)" \
		"lqosctl: graft: module throughput runs its own programs: there \
is no graft to undo"
}

# One that counts by itself alone.
another_program()
{
	local before n=2000 said

	before=$(counted)
	said=$(graft -f throughput "$LAB_DIR/OBSERVE.bpf.o" 2>&1)
	is "another program: graft" $? 0
	like "... a new map is told of" "$said" 'map gr_seen is new'
	like "... a new constant, too" "$said" 'constant gr_constant is new'
	is "... in its place" "$(in_place observe program)" "${NAME:0:15}"
	stream 7002 $n
	stream_ends
	# Before it has been silent for so long that it is over.
	is "... those behind it go on: flow" "$(of_flow 7002)" $n
	is "... passes all" "$RECEIVED" $n
	is "... counts all" "$(own_map observe 0)" $n
	is "... has the constants of what ran" "$(own_map observe 1)" 256
	is "... and throughput has none of it" $(($(counted) - before)) 0
	# Out of one graft into another, by a pin.
	bpftool prog pin id "$(in_place observe id)" "$LAB_OWN_PINS/mine"
	check "its own file over it" graft throughput "$THROUGHPUT"
	check "... and the first again, from its pin" graft throughput \
		"$LAB_OWN_PINS/mine"
	is "... which goes on counting" "$(own_map observe 0)" $n
	rm "$LAB_OWN_PINS/mine"
	check "undone" graft throughput --undo
	check "... and gone" loaded_soon 0
	# A ring buffer and global variables that the module writes.
	check "pping's own" graft pping "${THROUGHPUT%/*}/pping.bpf.o"
	check "... undone" graft pping --undo
	check "steering's own, the last of its stage" graft steering \
		"${THROUGHPUT%/*}/steering.bpf.o"
	check "... undone" graft steering --undo
}

# refused WHAT REGEX COMMAND...: and all stays as it was.  2 tests.
refused()
{
	local what=$1 regex=$2 before said status

	shift 2
	before="$(slots observe) $(slots egress) $(slots ingress) $(links observe)"
	said=$("$@" 2>&1)
	status=$?
	like "refused: $what" "$status ${said//$'\n'/ }" "^1 .*$regex"
	is "refused: $what: nothing has changed" "$(slots observe) \
$(slots egress) $(slots ingress) $(links observe)" "$before"
}

# call_graft MODULE STAGE ID
call_graft()
{
	ctl call core.graft "{\"module\": \"$1\", \"programs\": [{\"stage\": \
\"$2\", \"id\": $3}]}"
}

# load_raw PIN VARIANT TYPE [ARGUMENT...]: with bpftool; its id.
load_raw()
{
	local pin=$LAB_OWN_PINS/$1 object=$LAB_DIR/$2.bpf.o type=$3

	shift 3
	bpftool prog load "$object" "$pin" type "$type" "$@" >/dev/null &&
		bpftool -j prog show pinned "$pin" | jq .id
}

refusals()
{
	local before id

	before=$(counted)
	stream 7003
	refused "does not go on" 'does not go on to the next.*lqos_next_observe' \
		graft -f throughput "$LAB_DIR/ENDS.bpf.o"
	refused "for another stage" 'no program in it for a stage where' \
		graft throughput "$LAB_DIR/EGRESS.bpf.o"
	refused "for another stage, named" \
		'for stage egress, where module throughput has none.*observe' \
		graft throughput "$LAB_DIR/EGRESS.bpf.o" "$NAME"
	refused "two for a stage" 'are both for stage observe: say which' \
		graft throughput "$LAB_DIR/TWICE.bpf.o"
	refused "no such program" 'there is no program nobody in it' \
		graft throughput "$LAB_DIR/TWICE.bpf.o" nobody
	refused "another layout" 'map tp_slots is not what .*: restart lqosd' \
		graft throughput "$LAB_DIR/LAYOUT.bpf.o"
	refused "other global variables" 'map [.]bss is not what module pping' \
		graft -f pping "$LAB_DIR/BSS.bpf.o"
	refused "by the verifier" 'invalid access to packet.*what runs goes on' \
		graft -f throughput "$LAB_DIR/BACKWARDS.bpf.o"
	refused "another module's program" "none of its maps is one of \
throughput's: is it its program[?] --force" \
		graft throughput "${THROUGHPUT%/*}/pping.bpf.o"
	refused "... by force, as it keeps something of flows" \
		'uses lqos_flows, and module throughput keeps nothing of flows' \
		graft -f throughput "${THROUGHPUT%/*}/pping.bpf.o"
	refused "one that writes into what others keep of flows" \
		'uses lqos_flows, and module throughput keeps nothing of flows' \
		graft -f throughput "$LAB_DIR/FLOWS.bpf.o"
	refused "no ELF file" 'expected a BPF object' \
		graft throughput "${BASH_SOURCE[0]}"
	: >"$LAB_DIR/empty"
	refused "an empty file" 'expected a BPF object' \
		graft throughput "$LAB_DIR/empty"
	mkfifo "$LAB_DIR/fifo"
	refused "a FIFO, which nobody writes" 'fifo: it is no regular file' \
		timeout $((10 * SLOW)) "$ROOT/bin/lqosctl" -S "$LAB_BUS" \
		graft throughput "$LAB_DIR/fifo"
	refused "no file" 'No such file' graft throughput "$LAB_DIR/nothing"
	refused "no module" 'module "nobody": none of that name' \
		graft nobody "$THROUGHPUT"
	refused "a pin of no program" 'it is a pin, but of no program' \
		graft throughput "$CHAINS/lqos_observe"
	refused "no such id" 'program 4294967295: there is none' \
		call_graft throughput observe 4294967295
	id=$(load_raw tc EGRESS classifier)
	refused "a TC program for XDP" 'of type sched_cls, and stage observe has xdp' \
		call_graft throughput observe "$id"
	id=$(load_raw maps XDP xdp)
	refused "on maps of its own" 'is one of its own, not that of module' \
		call_graft throughput observe "$id"
	refused "not as root" '(Permission denied|root only)' \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$ROOT/bin/lqosctl" -S "$LAB_BUS" graft throughput "$THROUGHPUT"
	rm -f "$LAB_OWN_PINS"/{tc,maps}
	check "all that under traffic" is_streaming
	stream_stops
	is "each packet is in the record of its flow" "$(of_flow 7003)" "$SENT"
	is "none of $SENT packets was lost" "$RECEIVED" "$SENT"
	is "each was counted, and once" $(($(counted) - before)) "$SENT"
	check "of what was refused nothing is left" loaded_soon 0
}

restarts()
{
	local before own

	graft throughput "$THROUGHPUT" >/dev/null
	own=$(in_place observe id)
	before=$(counted)
	stream 7004
	lab_stop KILL
	check "kill -9 with a graft: it goes on" \
		bpftool prog show id "$own"
	: >"$LAB_LOG"
	daemon
	is "... the next start has its own" "$(in_place observe grafted)" null
	check "... which took over under traffic" is_streaming
	stream_stops
	is "... and lost none of $SENT packets" "$RECEIVED" "$SENT"
	is "... nor missed one" $(($(counted) - before)) "$SENT"
	graft -f throughput "$LAB_DIR/OBSERVE.bpf.o" >/dev/null 2>&1
	lab_stop
	is "a clean stop with a graft: status 0" $? 0
	check "... nothing of it is left" loaded_soon 0
	daemon
	is "... the next start has its own" "$(in_place observe grafted)" null
	check "a graft" graft -f throughput "$LAB_DIR/OBSERVE.bpf.o"
	lab_stop QUIT
	check "SIGQUIT leaves it" loaded_soon 1
	daemon
	is "... the next start has its own" "$(in_place observe grafted)" null
	check "... and that is gone" loaded_soon 0
}

two_stages()
{
	local n=1000 said

	lab_stop
	check "the module of the test is built" "$NET_TOP/tests/module/build" \
		"$ROOT" "$LAB_DIR/module"
	daemon -M "$ROOT/lib/lqos:$LAB_DIR/module" -i inet \
		-m throughput,flow,lqtop,many
	said=$(graft -f throughput "$LAB_DIR/OBSERVE.bpf.o" 2>/dev/null)
	is "one interface: both stages at once" "$said" \
		"throughput observe: ${NAME:0:15} (program \
$(in_place observe id)) runs in the place of its own tp_count
throughput observe_tc: $(in_place observe_tc program) (program \
$(in_place observe_tc id)) runs in the place of its own tp_count_tc"
	stream 7005 $n
	stream_ends
	is "... pass all" "$RECEIVED" $n
	is "... XDP counts what arrives" "$(own_map observe 0)" $n
	lab_subs python3 -B "$UDP" send $LAB_INET4 7006 $n $RATE
	is "... TC what leaves, in the same map" "$(own_map observe_tc 0)" \
		$((2 * n))
	refused "a second stage that does not exist" 'program 4294967295: there' \
		ctl call core.graft "{\"module\": \"throughput\", \"programs\":
		[{\"stage\": \"observe\", \"id\": $(in_place observe id)},
		{\"stage\": \"observe_tc\", \"id\": 4294967295}]}"
	refused "a module with too many maps" 'module many has 3[0-9]{2} maps, and one with more than 253 cannot be grafted' \
		graft many "$THROUGHPUT"
	# Where its attach type is that of bpftool's.
	id=$(load_raw self XDP xdp \
		map name lqos_observe pinned "$CHAINS/lqos_observe" \
		map name lqos_scratch pinned "$CHAINS/lqos_scratch")
	refused "with another place in the chain" 'its lqos_self is 0, and module throughput has [1-9]' \
		call_graft throughput observe "$id"
	rm -f "$LAB_OWN_PINS/self"
	is "... is undone at once" "$(graft -j throughput --undo | jq -c \
		'[.programs[] | [.stage, .id]]')" \
		'[["observe",0],["observe_tc",0]]'
	is "... and its own run" "$(ctl -j status |
		jq '[.chains[][] | select(.grafted)] | length')" 0
	check "... and nothing is left" loaded_soon 0
}

# with_tracefs COMMAND...: in a mount namespace where it is nowhere else.
with_tracefs()
{
	mkdir -p "$LAB_DIR/tracefs"
	unshare -m --propagation private sh -c '
		umount -a -t tracefs,debugfs 2>/dev/null
		[ -z "$1" ] || mount -t tracefs tracefs "$1" || exit 9
		shift
		exec "$@"' sh "$@"
}

debug()
{
	local said pid lock

	# The pipe is the machine's, and has room for one.
	exec {lock}</sys/kernel
	flock "$lock"

	said=$(with_tracefs "" "$ROOT/bin/lqosctl" debug 2>&1)
	is "debug: no tracefs" "$? $said" "1 lqosctl: debug: tracefs is mounted \
nowhere: mount -t tracefs tracefs /sys/kernel/tracing"
	is "debug: a time that is none" "$("$ROOT/bin/lqosctl" debug --for=0 \
		2>&1 >/dev/null | head -n 1)" \
		"lqosctl: debug: --for=0: expected a number from 1 to 604800"
	check "a graft that talks" graft -f throughput "$LAB_DIR/TALKS.bpf.o"
	with_tracefs "$LAB_DIR/tracefs" "$ROOT/bin/lqosctl" debug \
		--for=$((4 * SLOW)) >"$LAB_DIR/debug.out" 2>"$LAB_DIR/debug.err" &
	pid=$!
	sleep 1
	lab_subs python3 -B "$UDP" send $LAB_INET4 7007 3 100 77
	wait $pid
	is "debug: it ends after the time" $? 0
	at_least "debug: what it says" "$(grep -c \
		': bpf_trace_printk: graft saw 119 bytes$' "$LAB_DIR/debug.out")" 3
	with_tracefs "$LAB_DIR/tracefs" "$ROOT/bin/lqosctl" debug \
		--for=$((20 * SLOW)) >/dev/full 2>"$LAB_DIR/debug.err" &
	pid=$!
	sleep 1
	lab_subs python3 -B "$UDP" send $LAB_INET4 7007 3 100 77
	wait $pid
	like "debug: nowhere to write" "$? $(<"$LAB_DIR/debug.err")" \
		'^1 .*standard output: No space left on device'
	with_tracefs "$LAB_DIR/tracefs" timeout --preserve-status -s INT 2 \
		"$ROOT/bin/lqosctl" debug >"$LAB_DIR/debug.out" 2>&1
	is "debug: interrupted, status 0" $? 0
	{
		with_tracefs "$LAB_DIR/tracefs" timeout -s INT $((20 * SLOW)) \
			"$ROOT/bin/lqosctl" debug -a
		echo $? >"$LAB_DIR/debug.rc"
	} 2>/dev/null | head -n 1 >"$LAB_DIR/debug.out" &
	pid=$!
	sleep 1
	lab_subs python3 -B "$UDP" send $LAB_INET4 7007 3 100 77
	wait $pid
	for _ in {1..50}; do
		[ ! -s "$LAB_DIR/debug.rc" ] || break
		sleep 0.1
	done
	is "debug -a: it ends with its reader" "$(<"$LAB_DIR/debug.rc")" 0
	# shellcheck disable=SC2016
	said=$(with_tracefs "$LAB_DIR/tracefs" sh -c '"$1" debug --for=4 &
		sleep 1; "$1" debug --for=1; wait' sh "$ROOT/bin/lqosctl" 2>&1)
	like "debug: who else reads it" "$said" \
		'(there is one already \(pid [1-9]|pid [1-9][0-9]* reads )'
	check "undone" graft throughput --undo
	exec {lock}<&-
}

net_begin 116
command -v clang >/dev/null || bail "no clang"
for variant in OBSERVE XDP TALKS ENDS BACKWARDS EGRESS TWICE LAYOUT BSS \
	FLOWS; do
	build $variant || bail "no $variant.bpf.o"
done
mkdir -p "$LAB_OWN_PINS"
CHAINS=$LAB_PINS/maps/datapath
lab_ini modules=steering,throughput,flow,pping,lqtop
daemon
is "nothing is grafted at first" "$(graft)" \
	"nothing is grafted: modules run their own programs"
under_traffic
another_program
refusals
restarts
two_stages
debug
is "no sanitizer reports" "$(sanitizer_reports)" ""
