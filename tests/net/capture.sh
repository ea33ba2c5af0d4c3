#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl capture: all packets of whom it is asked for, once each, as long as they
# were, when they were, in order, and nothing is missing that is not counted.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TRAFFIC=$NET_HERE/capture_traffic.py
ADDRESS=100.64.1.1 # of circuit 1001
UDP=7777

server()
{
	in_background "$LAB_NS_INET" python3 -B "$TRAFFIC" server "$1" $UDP \
		>"$LAB_DIR/server.out" 2>&1
	SERVER=$!
	grows "$LAB_DIR/server.out" ready $SERVER
}

send()
{
	lab_subs python3 -B "$TRAFFIC" send "$1" "$2" $UDP "$3" "${4:-1000}"
}

# How many captures the daemon has.
running()
{
	ctl -j call capture.list | jq length
}

# running_soon N: within a second (of a usual machine).
running_soon()
{
	local i

	for ((i = 0; i < 20 * SLOW; i++)); do
		[ "$(running)" != "$1" ] || return 0
		sleep 0.05
	done
	echo "$(running) captures are on, not $1"
	return 1
}

# capture NAME ARGUMENT...: in the background; what it says goes into NAME.err.
capture()
{
	local name=$1 before

	shift
	before=$(running)
	setsid "$ROOT/bin/lqosctl" -S "$LAB_BUS" capture "$@" \
		>"$LAB_DIR/$name.out" 2>"$LAB_DIR/$name.err" </dev/null &
	CAPTURE=$!
	running_soon $((before + 1)) || bail "no capture: $(cat "$LAB_DIR/$name.err")"
}

# capture_ends [SIGNAL]: its exit status.
capture_ends()
{
	[ -z "${1:-}" ] || kill -s "$1" $CAPTURE
	wait $CAPTURE
}

summary()
{
	tail -n 1 "$LAB_DIR/$1.err"
}

# verdict NAME KEY: of what tcpdump makes of NAME.pcapng.
verdict()
{
	tcpdump -r "$LAB_DIR/$1.pcapng" --time-stamp-precision=nano -w - \
		2>/dev/null | python3 -B "$TRAFFIC" judge | jq -c "$2"
}

# in_file NAME FILTER: how many match, by tcpdump.
in_file()
{
	tcpdump -nn -r "$LAB_DIR/$1.pcapng" "$2" 2>/dev/null | wc -l
}

# blocks NAME KEY: of NAME.pcapng as it is.
blocks()
{
	python3 -B "$TRAFFIC" blocks "$LAB_DIR/$1.pcapng" | jq -c "$2"
}

CLEAN="0 dropped by the ring buffer, 0 lost as this end was slow"

# both_ways WHAT ARGUMENT...: numbered packets are sent back while
# "lqosctl capture ARGUMENT... -w" runs.  10 tests.
both_ways()
{
	local what=$1 name=ways before after

	shift
	before=$(date +%s.%N)
	capture $name "$@" -w "$LAB_DIR/$name.pcapng"
	is "$what: packets go on: all came back" \
		"$(send $ADDRESS $LAB_INET4 500)" 500
	capture_ends INT
	is "$what: interrupted, it ends with status 0" $? 0
	after=$(date +%s.%N)
	is "$what: its account" "$(summary $name)" "1000 packets captured, $CLEAN"
	is "$what: packets for tcpdump" "$(verdict $name .packets)" 1000
	is "$what: each once, each way" "$(verdict $name '[.numbers,.ways]')" \
		"[true,[500,500]]"
	is "$what: in order of time" "$(verdict $name .ordered)" true
	is "$what: whole, and as long as they were" \
		"$(verdict $name '[.lengths,.full]')" "[true,true]"
	is "$what: when they were" "$(verdict $name \
		"[.first > $before, .last < $after, .first < .last]")" \
		"[true,true,true]"
	is "$what: sent by the subscriber" \
		"$(in_file $name "src $ADDRESS and dst $LAB_INET4")" 500
	check "$what: it is off" running_soon 0
}

by_tshark()
{
	local fields name=ways

	if ! command -v tshark >/dev/null; then
		skip "tshark: interfaces and lengths" "no tshark"
		skip "tshark: nothing is malformed" "no tshark"
		return
	fi
	fields=$(tshark -r "$LAB_DIR/$name.pcapng" -T fields -e ip.src \
		-e frame.interface_name -e frame.p2p_dir 2>/dev/null |
		sort | uniq -c | awk '{ print $1, $2, $3 }')
	is "tshark: which interface each came by" "$fields" \
		"500 $ADDRESS subs
500 $LAB_INET4 inet"
	is "tshark: nothing is malformed" "$(tshark -r "$LAB_DIR/$name.pcapng" \
		-Y '_ws.malformed || _ws.expert.severity == error' 2>&1 |
		grep -vc 'Running as user')" 0
}

# What is captured, and how much.
limits()
{
	local began lines

	capture snap $ADDRESS -w "$LAB_DIR/snap.pcapng" --snaplen=64
	send $ADDRESS $LAB_INET4 100 >/dev/null
	capture_ends TERM
	is "snaplen: terminated, status 0" $? 0
	is "snaplen: that much is there, and the true length" \
		"$(verdict snap '[.packets,.caplen,.lengths]')" "[200,64,true]"

	capture count $ADDRESS -n 7 -w "$LAB_DIR/count.pcapng"
	send $ADDRESS $LAB_INET4 100 >/dev/null
	capture_ends
	is "-n: it ends by itself" $? 0
	is "-n: exactly as many" "$(verdict count .packets)" 7
	like "-n: and says so" "$(summary count)" "^7 packets captured"

	began=$SECONDS
	capture time $ADDRESS -t 2 -w "$LAB_DIR/time.pcapng"
	send $ADDRESS $LAB_INET4 50 >/dev/null
	capture_ends
	is "-t: it ends by itself" $? 0
	near "-t: after so long" $((SECONDS - began)) $((2 + SLOW)) 500
	is "-t: with what came until then" "$(verdict time .packets)" 100

	capture lines $ADDRESS -n 2
	lab_subs ping -q -n -c 1 -I $ADDRESS $LAB_INET4 >/dev/null
	capture_ends
	lines=$(<"$LAB_DIR/lines.out")
	like "lines: up" "$lines" "^[0-9:]{8}[.][0-9]{6} up $ADDRESS > \
$LAB_INET4 ICMP, length 98\$"
	like "lines: down" "$lines" "^[0-9:]{8}[.][0-9]{6} down $LAB_INET4 > \
$ADDRESS ICMP, length 98\$"
	capture lines $ADDRESS -n 1
	send $ADDRESS $LAB_INET4 1 >/dev/null
	capture_ends
	like "lines: ports" "$(<"$LAB_DIR/lines.out")" \
		" up ${ADDRESS}[.][0-9]+ > ${LAB_INET4}[.]$UDP UDP, length 50\$"

	ctl capture $ADDRESS -n 2 -w - 2>"$LAB_DIR/pipe.err" |
		tcpdump -nn -r - >"$LAB_DIR/pipe.out" 2>/dev/null &
	running_soon 1
	send $ADDRESS $LAB_INET4 1 >/dev/null
	wait $!
	is "-w -: through a pipe" "$(grep -c "> .* UDP," "$LAB_DIR/pipe.out")" 2
}

# reader_goes ARGUMENT...: who reads what it writes.  3 tests.
reader_goes()
{
	local reader

	mkfifo "$LAB_DIR/fifo"
	head -c 100 "$LAB_DIR/fifo" >"$LAB_DIR/head.out" &
	reader=$!
	"$ROOT/bin/lqosctl" -S "$LAB_BUS" capture $ADDRESS "$@" \
		>"$LAB_DIR/fifo" 2>"$LAB_DIR/reader.err" </dev/null &
	CAPTURE=$!
	running_soon 1 || bail "no capture: $(<"$LAB_DIR/reader.err")"
	send $ADDRESS $LAB_INET4 10 >/dev/null
	wait $reader
	send $ADDRESS $LAB_INET4 10 >/dev/null
	capture_ends
	is "the reader goes: the status" $? 1
	is "the reader goes: why" "$(head -n 1 "$LAB_DIR/reader.err")" \
		"lqosctl: cannot write to stdout: Broken pipe"
	like "the reader goes: its account" "$(summary reader)" \
		"^[0-9]+ packets captured, $CLEAN\$"
	rm "$LAB_DIR/fifo"
}

ping_once()
{
	lab_subs ping -q -n -c 1 -W 5 -I "$1" "$2" >/dev/null
}

# Whose packets they are.
targets()
{
	capture circuit 1003 -w "$LAB_DIR/circuit.pcapng"
	ping_once 100.64.1.3 $LAB_INET4
	ping_once 100.64.1.103 $LAB_INET4
	ping_once 2001:db8:1003::1 $LAB_INET6
	ping_once 100.64.1.4 $LAB_INET4
	ping_once $LAB_UNKNOWN4 $LAB_INET4
	capture_ends INT
	is "a circuit: all its addresses" "$(in_file circuit "icmp or \
icmp6[icmp6type] == icmp6-echo or icmp6[icmp6type] == icmp6-echoreply")" 6
	is "a circuit: no others" \
		"$(in_file circuit "host 100.64.1.4 or host $LAB_UNKNOWN4")" 0

	capture prefix ip=100.64.20.0/29 -w "$LAB_DIR/prefix.pcapng"
	ping_once 100.64.20.1 $LAB_INET4
	ping_once 100.64.8.1 $LAB_INET4
	capture_ends INT
	is "a prefix: its addresses alone" \
		"$(in_file prefix "net 100.64.20.0/29") $(in_file prefix ip)" \
		"2 2"

	capture prefix6 2001:db8:1000::/36 -w "$LAB_DIR/prefix6.pcapng"
	ping_once 2001:db8:1001::1 $LAB_INET6
	ping_once 2001:db8:20::1 $LAB_INET6
	ping_once $ADDRESS $LAB_INET4
	capture_ends INT
	is "a prefix of IPv6" "$(in_file prefix6 "host 2001:db8:1001::1 and \
(icmp6[icmp6type] == icmp6-echo or icmp6[icmp6type] == icmp6-echoreply)") \
$(in_file prefix6 "host 2001:db8:20::1 or ip")" "2 0"

	capture unknown $LAB_UNKNOWN4 -w "$LAB_DIR/unknown.pcapng"
	ping_once $LAB_UNKNOWN4 $LAB_INET4
	capture_ends INT
	is "an address that is nobody's" "$(in_file unknown icmp)" 2
}

# Two at once, of two CPUs each.
several()
{
	local a b one two

	capture all 100.64.0.0/10 -w "$LAB_DIR/all.pcapng"
	a=$CAPTURE
	capture small circuit=1001 -w "$LAB_DIR/small.pcapng" --snaplen 100
	b=$CAPTURE
	send $ADDRESS $LAB_INET4 1000 2000 >"$LAB_DIR/sent.1" &
	one=$!
	send 100.64.2.1 $LAB_INET4 1000 2000 >"$LAB_DIR/sent.2" &
	two=$!
	send 100.64.6.1 $LAB_INET4 1000 2000 >"$LAB_DIR/sent.3"
	wait "$one" "$two"
	kill -INT "$a" "$b"
	wait "$a" "$b"
	is "several at once: all came back" "$(cat "$LAB_DIR"/sent.[123] |
		tr '\n' ' ')" "1000 1000 1000 "
	is "several at once: all" "$(verdict all \
		'[.packets,.ordered,.numbers,.lengths,.full]')" \
		"[6000,true,true,true,true]"
	is "several at once: one of them, and less of it" "$(verdict small \
		'[.packets,.ordered,.numbers,.lengths,.caplen]')" \
		"[2000,true,true,true,100]"
	is "several at once: none came late" "$(grep -c late "$LAB_DIR/all.err")" 0
}

refusals()
{
	local i pids=() why before

	why=$(ctl capture nosuch -w "$LAB_DIR/no.pcapng" 2>&1)
	is "no such circuit: status" $? 1
	like "no such circuit: why" "$why" "^lqosctl: target \"nosuch\": no \
circuit has that id [(]is it in the file of shaped_devices[?][)], nor is it an"
	check "no such circuit: no file" test ! -e "$LAB_DIR/no.pcapng"
	like "bits behind the length" "$(ctl capture 100.64.1.1/24 2>&1)" \
		"nor is it an address or prefix: expected one like 192.0.2.1"
	like "an address said to be a circuit" \
		"$(ctl capture circuit=$ADDRESS 2>&1)" "no circuit has that id"
	like "an address in a VLAN" "$(ctl capture 192.0.2.1%5 2>&1)" \
		"expected an address without a VLAN"
	like "no target" "$(ctl capture -n 5 2>&1)" \
		"expected one address, prefix or circuit"
	like "a snaplen of nothing" "$(ctl capture $ADDRESS --snaplen 3 2>&1)" \
		"--snaplen 3: expected a number from 16 to 65535"
	like "... by the bus" "$(ctl call capture.start \
		'{"target":"192.0.2.1","snaplen":3}' 2>&1)" \
		"snaplen: expected a number from 16 to 65535"
	like "what is no param" "$(ctl call capture.start \
		'{"target":"192.0.2.1","ip":3}' 2>&1)" "expected no such param"
	like "a folder that is not there" \
		"$(ctl capture $ADDRESS -w /no/such 2>&1)" \
		"^lqosctl: cannot open /no/such: No such file or directory"
	check "... and the capture is off" running_soon 0
	like "who is not root" "$(setpriv --reuid 65534 --clear-groups \
		--regid "$(stat -c %g "$LAB_BUS")" \
		"$ROOT/bin/lqosctl" -S "$LAB_BUS" capture $ADDRESS 2>&1)" \
		"capture.start changes state: root only"
	for i in {1..8}; do
		capture "full$i" $ADDRESS
		pids+=("$CAPTURE")
	done
	like "one too many" "$(ctl capture $ADDRESS 2>&1)" \
		"^lqosctl: 8 captures are on, and there can be no more"
	is "... and nothing of it stays" "$(running)" 8
	kill -KILL "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
	check "killed clients: all are off in a second" running_soon 0
	before=$(captured)
	send $ADDRESS $LAB_INET4 50 >/dev/null
	is "... and no packet is copied any more" $(($(captured) - before)) 0
}

# What all captures were sent and have lost.
captured()
{
	settle
	take_frame
	echo $(($(global capture.packets) + $(global capture.dropped) + \
		$(global capture.slow)))
}

# counted: packets of circuit 1001, by another module.
counted()
{
	settle
	take_frame
	echo $(($(cell 1001 throughput.up.packets) + \
		$(cell 1001 throughput.down.packets)))
}

# Until what was sent has gone all its way: on a busy machine it waits for a CPU.
quiet()
{
	local i now before=

	for ((i = 0; i < 20 * SLOW; i++)); do
		now=$(counted).$(captured)
		[ "$now" != "$before" ] || return
		before=$now
	done
}

# flood_while_stopped NAME PID N: nobody works that takes what N packets are,
# and then everybody does.  What is in the account goes into ACCOUNT.
flood_while_stopped()
{
	local before during

	before=$(counted)
	during=$(captured)
	capture "$1" $ADDRESS -w "$LAB_DIR/$1.pcapng"
	kill -STOP "${2:-$CAPTURE}"
	lab_subs python3 -B "$TRAFFIC" flood $ADDRESS $LAB_INET4 $((UDP + 1)) "$3"
	[ -z "$2" ] || kill -CONT "$2"
	quiet
	kill -CONT "$CAPTURE"
	capture_ends INT
	is "$1: interrupted, it ends with status 0" $? 0
	read -r -a ACCOUNT < <(summary "$1" | tr -dc '0-9 \n')
	note "captured, dropped, slow: ${ACCOUNT[*]}"
	during=$(($(captured) - during))
	is "$1: what is captured and what is lost is all there was" \
		$((ACCOUNT[0] + ACCOUNT[1] + ACCOUNT[2])) \
		$(($(counted) - before))
	is "$1: the module's columns say the same" $during \
		$((ACCOUNT[0] + ACCOUNT[1] + ACCOUNT[2]))
	is "$1: as many are in the file" "$(in_file "$1" ip)" "${ACCOUNT[0]}"
	is "$1: in order" "$(verdict "$1" .ordered)" true
}

slow_client()
{
	flood_while_stopped "a slow client" "" 40000
	at_least "a slow client: loses some" "${ACCOUNT[2]}" 100
	check "a slow client: it is off" running_soon 0
}

# Of 64 KiB, and nobody empties it.
full_ring()
{
	flood_while_stopped "a full ring" "$LAB_DAEMON" 6000
	at_least "a full ring: some are dropped by it" "${ACCOUNT[1]}" 1000
	is "a full ring: the client is not slow" "${ACCOUNT[2]}" 0
	is "a full ring: the file says so" "$(blocks "a full ring" \
		'[.dropped,.lost,(.delivered | add)]')" \
		"[${ACCOUNT[1]},${ACCOUNT[1]},${ACCOUNT[0]}]"
}

# What becomes of it when lqosd goes.
daemon_ends()
{
	capture term $ADDRESS -w "$LAB_DIR/term.pcapng"
	send $ADDRESS $LAB_INET4 20 >/dev/null
	lab_stop
	is "lqosd ends: status 0, with a capture that is on" $? 0
	capture_ends
	is "lqosd ends: the client's status" $? 1
	like "lqosd ends: the client says so" "$(<"$LAB_DIR/term.err")" \
		"^lqosctl: lqosd has ended the capture: is it still running[?]"
	is "lqosd ends: the file is whole" "$(verdict term .packets)" 40

	daemon
	capture kill $ADDRESS -w "$LAB_DIR/kill.pcapng"
	send $ADDRESS $LAB_INET4 20 >/dev/null
	lab_stop KILL
	capture_ends
	is "lqosd is killed: the client's status" $? 1
	is "lqosd is killed: the file is whole" "$(verdict kill .packets)" 40
	is "lqosd is killed: packets go on" \
		"$(send $ADDRESS $LAB_INET4 500 500)" 500
	daemon
	is "the next one has no capture" "$(running)" 0
	lab_stop
}

# The circuit goes from the file, and comes back.
comes_back()
{
	sed '/^1001,/d' "$LAB_HERE/ShapedDevices.csv" >"$LAB_DIR/less.csv"
	cp "$LAB_HERE/ShapedDevices.csv" "$LAB_DIR/devices.csv"
	lab_ini modules=steering,throughput,capture,lqtop \
		"shaped_devices=$LAB_DIR/devices.csv"
	daemon
	capture back 1001 -w "$LAB_DIR/back.pcapng"
	send $ADDRESS $LAB_INET4 10 >/dev/null
	cp "$LAB_DIR/less.csv" "$LAB_DIR/devices.csv"
	kill -HUP "$LAB_DAEMON"
	grows "$LAB_LOG" "read again: 19 subscribers" "$LAB_DAEMON"
	send $ADDRESS $LAB_INET4 20 >/dev/null
	cp "$LAB_HERE/ShapedDevices.csv" "$LAB_DIR/devices.csv"
	kill -HUP "$LAB_DAEMON"
	grows "$LAB_LOG" "read again: 20 subscribers" "$LAB_DAEMON"
	send $ADDRESS $LAB_INET4 30 >/dev/null
	capture_ends INT
	is "a circuit that goes and comes: what it had meanwhile" \
		"$(in_file back "src $ADDRESS")" 40
	lab_stop
}

without_the_module()
{
	lab_ini modules=throughput,lqtop
	daemon
	like "without the module: why" "$(ctl capture $ADDRESS 2>&1)" \
		"lqosd runs without its module capture: add it to modules in"
	lab_stop
}

net_begin 116
[ "$(lab_cpus)" -ge 2 ] || note "one CPU: nothing is there to be put in order"
lab_ini modules=steering,throughput,capture,lqtop
daemon
server $LAB_INET4
both_ways "by address" $ADDRESS
is "the file's blocks" \
	"$(blocks ways '[.interfaces,.digits,.in,.out,.lost,.delivered]')" \
	'[["inet","subs"],[9,9],1000,0,0,[500,500]]'
by_tshark
both_ways "by circuit" 1001
limits
reader_goes
reader_goes -w -
targets
several
refusals
slow_client
lab_stop
printf '[capture]\nring_kib = 64\n' >>"$LAB_INI"
daemon
server $LAB_INET4
full_ring
daemon_ends
comes_back
for MODE in native generic; do
	lab_ini modules=throughput,capture,lqtop xdp_mode=$MODE
	daemon -i inet
	both_ways "one interface, $MODE" $ADDRESS
	is "one interface, $MODE: in and out" \
		"$(blocks ways '[.in,.out,.interfaces]')" '[500,500,["inet"]]'
	lab_stop
done
without_the_module
is "no report of a sanitizer" "$(sanitizer_reports)" ""
