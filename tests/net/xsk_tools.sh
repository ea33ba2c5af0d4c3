#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl xsk hello, dev1_to_dev2, forward, filter, change_word and tunnel: real
# traffic of the kernel through them, in the driver and behind it.  What they do
# to a packet, byte by byte, is tests/unit/test_xsk_rewrite.c's.

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PEER=$NET_HERE/xsk_peer.py
A4=10.77.0.1 B4=10.77.0.2 A6=fd77::1 B6=fd77::2
TOOL= # its pid

# ---- The network ------------------------------------------------------------

# host NS DEVICE ADDRESS...
host()
{
	local ns=$1 dev=$2 address

	shift 2
	for address; do
		case $address in
		*:*) address+=" nodad" ;;
		esac
		# shellcheck disable=SC2086
		ip -n "$ns" address add $address dev "$dev" || return
	done
	nsenter --net="/run/netns/$ns" -- ethtool -K "$dev" rx off gro off \
		>/dev/null || return
	nsenter --net="/run/netns/$ns" -- sysctl -qw \
		"net.ipv6.conf.$dev.router_solicitations=0" || return
	ip -n "$ns" link set lo up && ip -n "$ns" link set "$dev" up
}

# Two hosts, subs and inet, whose interfaces end in the shaper; and two more,
# with another name space between, for the tunnel: two queues each.
network()
{
	local ns

	mkdir -p "$LAB_DIR" || return
	for ns in "$LAB_NS_SUBS" "$LAB_NS_SHAPER" "$LAB_NS_INET" \
		"$LAB_NS_SWITCH"; do
		ip netns add "$ns" || return
	done
	lab_veth subs "$LAB_NS_SHAPER" eth0 "$LAB_NS_SUBS" 2 &&
		lab_veth inet "$LAB_NS_SHAPER" eth0 "$LAB_NS_INET" 2 &&
		lab_veth far "$LAB_NS_SWITCH" eth1 "$LAB_NS_INET" 2 &&
		lab_veth under "$LAB_NS_SHAPER" under "$LAB_NS_SWITCH" 1 || return
	host "$LAB_NS_SUBS" eth0 $A4/24 $A6/64 &&
		host "$LAB_NS_INET" eth0 $B4/24 $B6/64 &&
		host "$LAB_NS_INET" eth1 10.77.0.3/32 &&
		host "$LAB_NS_SHAPER" under 172.31.0.1/30 &&
		host "$LAB_NS_SWITCH" under 172.31.0.2/30 || return
	ip -n "$LAB_NS_SHAPER" link set subs up &&
		ip -n "$LAB_NS_SHAPER" link set inet up &&
		ip -n "$LAB_NS_SWITCH" link set far up
}

# ---- The tools --------------------------------------------------------------

xsk()
{
	lab_shaper timeout $((60 * SLOW)) "$ROOT/bin/lqosctl" xsk "$@"
}

# tool MODE COMMAND ARGUMENT...: in the background, until tool_ends.
tool()
{
	local mode=$1

	shift
	: >"$LAB_DIR/tool" # of the one before
	in_background "$LAB_NS_SHAPER" "$ROOT/bin/lqosctl" xsk "$@" \
		--mode "$mode" >"$LAB_DIR/tool" 2>&1
	TOOL=$!
	grows "$LAB_DIR/tool" "^inet: 2 queues, $mode, copy" $TOOL
}

# How many XDP programs there are.
programs()
{
	ip -n "$LAB_NS_SHAPER" -d link | grep -c 'prog/xdp'
}

# tool_ends WHAT SIGNAL
tool_ends()
{
	kill -s "$2" "$TOOL"
	wait "$TOOL"
	is "$1, and no program is left" "$? $(programs)" "0 0"
}

# count_of REGEX [FILE]: the number behind it in what the tool printed.
count_of()
{
	sed -nE "s/^$1 ?([0-9]+).*/\1/p" "${2:-$LAB_DIR/tool}" |
		awk '{ n += $1 } END { print n + 0 }'
}

run_peer()
{
	nsenter --net="/run/netns/$1" -- timeout $((20 * SLOW)) \
		python3 -B "$PEER" "${@:2}" 2>&1
}

# serve NAME ARGUMENT...: in the internet.
serve()
{
	local name=$1

	shift
	: >"$LAB_DIR/$name"
	in_background "$LAB_NS_INET" python3 -B "$PEER" "$@" \
		>"$LAB_DIR/$name" 2>&1
	SERVER=$!
	grows "$LAB_DIR/$name" ready $SERVER
}

pings()
{
	lab_subs ping -q -n -i 0.02 -W 2 "$@" | grep -Eo '[0-9]+% packet loss'
}

# many CHARACTER N
many()
{
	printf "%$2s" "" | tr ' ' "$1"
}

# ---- hello ------------------------------------------------------------------

# In a namespace of its own: so nothing is there to be seen, and nothing left.
netns_of()
{
	local ns

	ns=$(readlink "/proc/$1/ns/net") && echo "${ns//[^0-9]/}"
}

# late_hello FILE: one whose packet leaves 3 s later, or never.
late_hello()
{
	local file=$1

	shift
	: >"$file"
	setpriv --pdeathsig TERM nsenter --net="/run/netns/$LAB_NS_SHAPER" -- \
		env ASAN_OPTIONS=detect_leaks=0 \
		strace -D -qq -o "$LAB_DIR/strace" -e trace=sendto \
		-e inject=sendto:"$1":when=4+ \
		"$ROOT/bin/lqosctl-xsk-hello" </dev/null >"$file" 2>&1 &
	TOOL=$!
}

hello_fails()
{
	local inode

	if ! command -v strace >/dev/null; then
		for _ in 1 2 3 4; do
			skip "hello without its packet" "no strace"
		done
		return
	fi
	late_hello "$LAB_DIR/hello" retval=0
	wait $TOOL
	is "hello fails without its packet" "$? $(<"$LAB_DIR/hello")" \
		"1 sending packet
lqosctl: xsk hello: no matching packet was received within 100 ms"
	late_hello "$LAB_DIR/hello" delay_enter=3000000
	grows "$LAB_DIR/hello" sending $TOOL
	inode=$(netns_of $TOOL)
	is "its interfaces are seen by nobody" \
		"$(lab_shaper ip -o link show type veth | grep -c ' dev[12]@')" 0
	kill -INT $TOOL
	wait $TOOL
	is "hello is interrupted" "$? $(tail -n 1 "$LAB_DIR/hello")" \
		"1 lqosctl: xsk hello: interrupted"
	is "... and its namespace gone" \
		"$([ -n "$inode" ] && lsns -n -t net -o NS | grep -c "$inode")" 0
}

hello()
{
	local mode

	for mode in native generic; do
		is "hello, $mode" "$(xsk hello --mode $mode 2>&1)" \
			"sending packet
received packet!"
		is "hello, $mode, shared" \
			"$(xsk hello --shared --mode $mode 2>&1)" \
			"sending packet
received packet!"
	done
	is "two at once" "$({ xsk hello & xsk hello; wait; } 2>&1 | sort)" \
		"received packet!
received packet!
sending packet
sending packet"
	hello_fails
}

# ---- dev1_to_dev2 -----------------------------------------------------------

# accounted FILE N: received and dropped are what was sent, and so is each cause.
accounted()
{
	local got dropped causes

	got=$(count_of "recv .*eth frames received:" "$1")
	dropped=$(count_of "drops:" "$1")
	causes=$(count_of "  .*:" "$1")
	[ "$(count_of "send .*eth frames sent:" "$1")" = "$2" ] &&
		[ $((got + dropped)) = "$2" ] && [ "$causes" = "$dropped" ] &&
		[ "$got" -gt 0 ]
}

# transfer WHAT N ARGUMENT...: 2 tests.
transfer()
{
	local what=$1 n=$2 file=$LAB_DIR/transfer

	shift 2
	xsk dev1_to_dev2 -n "$n" "$@" >"$file" 2>&1
	is "dev1_to_dev2, $what" $? 0
	check "... and each packet is accounted for" accounted "$file" "$n" ||
		note "$(<"$file")"
	note "$(grep throughput "$file")"
}

transfers()
{
	local mode n=100000

	[ "$SLOW" -eq 1 ] && [ -z "$LQOS_SANITIZED" ] || n=10000
	for mode in native generic; do
		transfer "$mode" $n --veth --mode $mode
		transfer "$mode, two threads" $n --veth -m --mode $mode
		transfer "$mode, too few frames" $n --veth -m --mode $mode \
			--receiver-fill-ring 16 --receiver-completion-ring 16
		at_least "... some were dropped" \
			"$(count_of "drops:" "$LAB_DIR/transfer")" 1
		transfer "$mode, an RX ring that is too short" $n --veth -m \
			--mode $mode --receiver-rx-ring 8
		at_least "... some were dropped" "$(count_of \
			"  the receiver's RX ring was full:" "$LAB_DIR/transfer")" 1
		transfer "$mode, as long as can be" $((n / 10)) --veth \
			--mode $mode --payload 1472 --sender-chunk-size 4096
	done
	transfer "a batch" 10 --veth
	is "... which takes some time, either side" "$(awk '/throughput/ {
		n += $5 > 0 && $5 < 1000 } END { print n }' \
			"$LAB_DIR/transfer")" 2
	ip -n "$LAB_NS_SHAPER" link add one type veth peer name two
	ip -n "$LAB_NS_SHAPER" link set one up
	ip -n "$LAB_NS_SHAPER" link set two up
	transfer "by names" 10000 one two
	ip -n "$LAB_NS_SHAPER" link del one
}

# ---- forward ----------------------------------------------------------------

numbered()
{
	serve count count-server $((10 * SLOW)) 4000
	run_peer "$LAB_NS_SUBS" count $1 4000 2000
	wait $SERVER
	tail -n 1 "$LAB_DIR/count"
}

tcp()
{
	lab_server 5201 || bail "no iperf3 server"
	lab_subs timeout $((30 * SLOW)) iperf3 -J -c $B4 -t 2 "$@" |
		jq '.end.sum_received.bytes / 1e6 | floor'
}

# In all frames there are packets are received: there is none to copy one to.
forward()
{
	local mode=$1 n

	tool "$mode" forward --stat subs inet -f 32 -c 128
	is "forward, $mode: ping, without a frame to spare" \
		"$(pings -c 50 $B4)" "0% packet loss"
	is "... the other way" "$(lab_inet ping -q -n -i 0.02 -c 50 $A4 |
		grep -Eo '[0-9]+% packet loss')" "0% packet loss"
	is "... of IPv6, as long as can be" "$(pings -c 20 -s 1452 $B6)" \
		"0% packet loss"
	sleep 1.2
	at_least "--stat" "$(awk '/^Processed/ { n += $2 + $3 }
		END { print n }' "$LAB_DIR/tool")" 240
	tool_ends "... ends by SIGINT" INT

	tool "$mode" forward subs inet -f 512 -r 512 -t 512 -o 512 -c 4096
	is "... in order, whole, and no bit lost" "$(numbered $B4)" \
		"got 2000 late 0 bad 0"
	n=$(tcp)
	at_least "... TCP" "$n" 1
	note "$n MB in 2 s"
	n=$(tcp --bidir)
	at_least "... TCP both ways" "$n" 1
	tool_ends "... ends by SIGTERM" TERM
	at_least "... counted what it has received" \
		"$(count_of "subs: received")" 2000
}

dump()
{
	local mode=$1

	tool "$mode" forward --dump subs inet
	is "--dump, $mode" "$(pings -c 1 -p 6c716f732e $B4)" "0% packet loss"
	tool_ends "... ends" INT
	like "... shows who sends, and how much" "$(<"$LAB_DIR/tool")" \
		"^inet -> subs: 98 bytes at 0x[0-9a-f]+"
	like "... shows bytes and text" "$(<"$LAB_DIR/tool")" \
		"^0040  6f 73 2e 6c 71 6f 73 2e .*  os[.]lqos[.]lqos[.]lqo$"
}

# ---- filter -----------------------------------------------------------------

challenges()
{
	nsenter --net="/run/netns/$1" -- nstat -asz TcpExtTCPChallengeACK \
		TcpExtTCPACKSkippedChallenge | awk '/Challenge/ { n += $2 }
		END { print n + 0 }'
}

filter()
{
	local mode=$1

	tool "$mode" filter subs inet
	serve talk talk-server 80 8080
	is "filter, $mode: its word resets" "$(run_peer "$LAB_NS_SUBS" talk \
		$B4 80 "an apple" "a pineapple" "more")" "an apple
reset"
	is "... and the other end" "$(tail -n 1 "$LAB_DIR/talk")" reset
	is "... over IPv6" "$(run_peer "$LAB_NS_SUBS" talk $B6 80 \
		"one" "pineapple")" "one
reset"
	is "... and the other end" "$(tail -n 1 "$LAB_DIR/talk")" reset
	is "other ports pass" "$(run_peer "$LAB_NS_SUBS" talk $B4 8080 \
		"a pineapple")" "a pineapple"
	is "other words pass" "$(run_peer "$LAB_NS_SUBS" talk $B4 80 \
		"a pine")" "a pine"
	is "no end had to ask whether a RST was meant" \
		"$(challenges "$LAB_NS_SUBS") $(challenges "$LAB_NS_INET")" "0 0"
	tool_ends "filter ends" INT
	is "... and has counted" "$(count_of reset:)" 2
	tool "$mode" filter --word fig --port 8080 subs inet
	is "a word and a port of one's own" "$(
		run_peer "$LAB_NS_SUBS" talk $B4 8080 "pineapple" "a fig"
		run_peer "$LAB_NS_SUBS" talk $B4 80 "a fig")" "pineapple
reset
a fig"
	tool_ends "filter ends" TERM
	end $SERVER
}

# ---- change_word ------------------------------------------------------------

change_word()
{
	local mode=$1 long

	long=apple$(many . 1455)
	serve word word-server 4001
	tool "$mode" change_word --source-word apple \
		--change-word watermelon subs inet
	# The server sends its own back, in which there is none any more.
	is "change_word, $mode: longer" "$(run_peer "$LAB_NS_SUBS" word $B4 \
		4001 "an apple, two apples" none)" \
		"an watermelon, two watermelons 30
none 4"
	is "... over IPv6" "$(run_peer "$LAB_NS_SUBS" word $B6 4001 apple)" \
		"watermelon 10"
	is "... as long as fits" "$(run_peer "$LAB_NS_SUBS" word $B4 4001 \
		"$long" | awk '{ print length($1), $2 }')" "1465 1465"
	tool_ends "... ends" INT
	is "... and has counted" "$(count_of changed:)" 4
	tool "$mode" change_word --source-word apple \
		--change-word "$(many w 1400)" subs inet
	is "what would be too long passes as it was" "$(
		run_peer "$LAB_NS_SUBS" word $B4 4001 \
			"apple$(many . 100)" |
			awk '{ print length($1), $2 }')" "105 105"
	tool_ends "... ends" INT
	# There and back again.
	is "... and has counted" "$(count_of "passed as they were.*:")" 2
	tool "$mode" change_word --source-word apple --change-word "" subs inet
	is "shorter, to nothing" "$(run_peer "$LAB_NS_SUBS" word $B4 4001 \
		"an apple" apple)" "an  3
 0"
	tool_ends "... ends" INT
	end $SERVER
}

# ---- tunnel -----------------------------------------------------------------

# tunnel_end NS MODE INTERFACE SOURCE DESTINATION
tunnel_end()
{
	: >"$LAB_DIR/tunnel.$3"
	in_background "$1" "$ROOT/bin/lqosctl" xsk tunnel --mode "$2" -i "$3" \
		-s "$4" -d "$5" -p 4789 >"$LAB_DIR/tunnel.$3" 2>&1
	TOOLS+=($!)
	grows "$LAB_DIR/tunnel.$3" "^$3: 2 queues, $2" $!
}

# subs:eth0 = shaper:subs ~ tunnel ~ switch:far = inet:eth1, 10.77.0.3
tunnel()
{
	local mode=$1 from=$2 to=$3 mss=$4 n

	TOOLS=()
	tunnel_end "$LAB_NS_SHAPER" "$mode" subs "$from" "$to"
	tunnel_end "$LAB_NS_SWITCH" "$mode" far "$to" "$from"
	is "tunnel, $mode, $from: ping" "$(pings -c 50 10.77.0.3)" \
		"0% packet loss"
	is "... as long as can be" "$(pings -c 20 -M "do" -s 1472 10.77.0.3)" \
		"0% packet loss"
	serve talk talk-server 7777
	# With timestamps, which take 12 bytes.
	is "... TCP, with segments that need no fragments" \
		"$(run_peer "$LAB_NS_SUBS" mss 10.77.0.3 7777)" $((mss - 12))
	end $SERVER
	lab_server 5201 || bail "no iperf3 server"
	n=$(lab_subs timeout $((30 * SLOW)) iperf3 -J -c 10.77.0.3 -t 2 |
		jq '.end.sum_received.bytes / 1e6 | floor')
	at_least "... TCP" "$n" 1
	note "$n MB in 2 s"
	end "${TOOLS[@]}"
	at_least "... and has counted" \
		"$(count_of "tunnel: .*MSS clamped" "$LAB_DIR/tunnel.subs")" 2
	is "nothing is left" \
		"$(programs)" 0
}

tunnels()
{
	# Its own route and address, so that there is one way only.
	ip -n "$LAB_NS_INET" address del $B4/24 dev eth0
	ip -n "$LAB_NS_INET" link set eth0 down
	ip -n "$LAB_NS_INET" route add $A4/32 dev eth1 src 10.77.0.3
	ip -n "$LAB_NS_SUBS" neigh flush all
	tunnel native 172.31.0.1 172.31.0.2 1418
	tunnel generic 172.31.0.1 172.31.0.2 1418
	lab_shaper sysctl -qw net.ipv6.conf.under.disable_ipv6=0
	ip -n "$LAB_NS_SHAPER" address add fd31::1/64 dev under nodad
	ip -n "$LAB_NS_SWITCH" address add fd31::2/64 dev under nodad
	tunnel native fd31::1 fd31::2 1398
	tunnel generic fd31::1 fd31::2 1398
}

# ---- Bad input --------------------------------------------------------------

# wrong STATUS REGEX ARGUMENT...: one line, and where there is help.
wrong()
{
	local status=$1 regex=$2 output rc

	shift 2
	output=$(xsk "$@" 2>&1)
	rc=$?
	is "xsk ${*:0:60}" "$rc $(grep -Evc "^Try 'lqosctl xsk" <<<"$output")" \
		"$status 1"
	like "... says why" "$output" "^lqosctl: xsk.*: $regex"
}

bad_input()
{
	wrong 2 "a command is missing"
	wrong 2 "expected the names of two interfaces" forward subs
	wrong 2 "subs twice" forward subs subs
	wrong 2 "--rx-ring 63: expected a power of two" forward -r 63 subs inet
	wrong 2 "--tx-ring 0: expected a number from 1" filter -t 0 subs inet
	wrong 2 "--chunk-size 3000: expected 2048 or 4096" forward -s 3000 a b
	wrong 2 "--mode fast: expected auto, native or" forward --mode fast a b
	wrong 2 "--copy no: expected auto, copy or zero" forward --copy no a b
	wrong 2 "--port 65536: expected a number" filter --port 65536 a b
	wrong 2 "--word of 1401 bytes: expected 1 to 1400" filter \
		--word "$(many w 1401)" a b
	wrong 2 "--source-word of 0 bytes" change_word --source-word "" a b
	wrong 2 "expected --source-word and" change_word --source-word x a b
	wrong 2 "expected -i, -s and -d" tunnel -i subs
	wrong 2 "--source 1.2.3: expected an IP" tunnel -i a -s 1.2.3 -d ::1
	wrong 2 "--payload 11: expected a number" dev1_to_dev2 --payload 11 a b
	wrong 2 "--sender-tx-ring 3: expected a power" dev1_to_dev2 \
		--sender-tx-ring 3 a b
	wrong 2 "expected the names of two interf" dev1_to_dev2
	wrong 2 "x: with --veth no interface" dev1_to_dev2 --veth x
	wrong 1 "none: no such interface" forward subs none
	wrong 1 "none: no such interface" dev1_to_dev2 none subs
	wrong 1 "--chunk-count 255: the fill rings of 4 queues want 256" \
		forward -c 255 subs inet
	wrong 1 ".*zero-copy" forward --copy zerocopy subs inet
	wrong 1 "cannot use 192.0.2.1 port 5555" tunnel -i subs -s 192.0.2.1 \
		-d 192.0.2.2
	like "without rights" "$(lab_shaper setpriv --bounding-set -all \
		"$ROOT/bin/lqosctl" xsk hello 2>&1)" \
		"^lqosctl: xsk hello: cannot make a network .*: this is for root$"
	like "..." "$(lab_shaper setpriv --bounding-set -all \
		"$ROOT/bin/lqosctl" xsk forward subs inet 2>&1)" \
		"^lqosctl: xsk forward: .*(CAP_NET_RAW|CAP_IPC_LOCK)"
}

# Somebody else has the interface, or it goes away.
not_ours()
{
	tool native forward subs inet
	wrong 1 ".*subs" forward subs inet
	ip -n "$LAB_NS_SHAPER" link del inet
	wait "$TOOL"
	is "an interface that goes away ends it" "$? $(grep -c \
		"^lqosctl: xsk forward: inet: the interface went" "$LAB_DIR/tool")" \
		"1 1"
	is "... and nothing is left" \
		"$(programs)" 0
}

# ---- The daemon's own -------------------------------------------------------

# Without a program of that name, the verb is the module's.
daemon_stat()
{
	LAB_TOPOLOGY=xdp
	lab_ini modules=xsk shaped_devices= network_json= &&
		daemon || bail "no lqosd"
	like "lqosctl xsk stat, of a daemon" "$(ctl xsk stat)" "^pool"
	check "... as JSON" jq -e '.taps and .sockets and .pool' \
		<<<"$(ctl -j xsk stat)"
	end "$LAB_DAEMON"
	LAB_DAEMON=
}

# ---- In order ---------------------------------------------------------------

like_it_is_typed()
{
	like "lqosctl xsk --help" "$(xsk --help)" "^  forward IF1 IF2"
	like "... of a command" "$(xsk forward --help)" "^usage: .* forward"
	like "lqosctl-xsk" "$("$ROOT/bin/lqosctl-xsk" forward --help)" \
		"^usage: lqosctl xsk forward"
	like "... with what is for a daemon" "$("$ROOT/bin/lqosctl" -t 9 \
		-S /no/bus xsk forward --help)" "^usage: .* forward"
	like "... of what there is not" "$("$ROOT/bin/lqosctl-xsk" echoes 2>&1)" \
		"^lqosctl: xsk echoes: no such command"
	like "what is no command is the daemon's" \
		"$("$ROOT/bin/lqosctl" -S /no/bus xsk stat 2>&1)" \
		"^lqosctl: no lqosd listens on /no/bus"
	like "... and without a daemon there is still help" \
		"$("$ROOT/bin/lqosctl" -S /no/bus xsk helo 2>&1)" \
		" Nor is \"xsk helo\" a program: try lqosctl xsk --help\$"
}

net_plan 194
network || bail "no network"
like_it_is_typed
bad_input
hello
transfers
for mode in native generic; do
	forward $mode
	dump $mode
done
for mode in native generic; do
	filter $mode
	change_word $mode
done
tunnels
daemon_stat
not_ours
