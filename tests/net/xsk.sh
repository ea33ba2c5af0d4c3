#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Taps: a module gets the packets it asked for, all others go on, and none is
# lost whatever that module does.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ADDRESS=100.64.1.3
CIRCUIT=1003
OTHER=100.64.2.12
PACKETS=4000
TAP_PORT=7777
UDP=$NET_HERE/udp_numbers.py

so()
{
	echo "$ROOT/lib/lqos:$LAB_DIR/module"
}

# tap_ini XDP_MODE [KEY=VALUE]...: of [xsk] and [tap]; a key of both is [tap]'s.
tap_ini()
{
	local pair mode=$1

	shift
	lab_ini "xdp_mode=$mode" || bail "no lqos.ini"
	{
		echo
		echo "[xsk]"
		for pair; do
			[[ $pair != xsk.* ]] || echo "${pair#xsk.}"
		done
		echo "[tap]"
		for pair; do
			[[ $pair == xsk.* ]] || echo "$pair"
		done
	} >>"$LAB_INI"
}

# tap_daemon [MODULE]
tap_daemon()
{
	daemon -M "$(so)" -m "steering,throughput,lqtop,xsk,tap${1:+,$1}"
	# Sockets are opened within a second.
	for ((i = 0; i < 50 * SLOW; i++)); do
		[ "$(stat '.sockets | length')" -ge 2 ] && return
		sleep 0.1
	done
	bail "no sockets: $(stat .)"
}

stat()
{
	ctl -j call xsk.stat | jq -r "$1"
}

# tap COUNTER: of the one tap.
tap()
{
	stat ".taps[0].$1"
}

# all_passed: how many passed by, whyever.
all_passed()
{
	stat '.taps[0] | .no_frame + .too_long + .no_socket + .tap_full'
}

# Runs between them; afterwards ARRIVED.
listen()
{
	in_background "$LAB_NS_SUBS" python3 -B "$UDP" count "$1" "$2" \
		>"$LAB_DIR/arrived"
	LISTENER=$!
	grows "$LAB_DIR/arrived" ready $LISTENER
}

heard()
{
	end $LISTENER
	ARRIVED=$(tail -n 1 "$LAB_DIR/arrived")
}

# send [COUNT [PORT [ADDRESS [RATE [BYTES]]]]]: down, from the internet.
send()
{
	lab_inet python3 -B "$UDP" send "${3:-$ADDRESS}" "${2:-$TAP_PORT}" \
		"${1:-$PACKETS}" "${4:-$((5000 / PACE))}" "${5:-64}"
}

# send_and_hear [PORT [ADDRESS]]: all there are, into ARRIVED.
send_and_hear()
{
	listen "${2:-$ADDRESS}" "${1:-$TAP_PORT}"
	send "$PACKETS" "${1:-$TAP_PORT}" "${2:-$ADDRESS}"
	heard
}

# A tap that gives back what it gets.
takes_what_it_asked_for()
{
	local mode=$1

	tap_ini "$mode" prefix=$ADDRESS port=$TAP_PORT proto=17 twice=yes
	tap_daemon
	is "$mode: sockets are open on every queue, and say how" \
		"$(stat '[.sockets[] | .mode + " " + .copy] | unique[]')" \
		"$mode copy"
	send_and_hear
	is "$mode: what it asked for does not arrive" "$ARRIVED" 0
	is "$mode: ... but all at the tap" "$(tap taken)" $PACKETS
	settle
	take_frame
	is "$mode: which counts them too" "$(global tap.packets)" $PACKETS
	is "$mode: ... with all their bytes" "$(global tap.bytes)" \
		$((PACKETS * (64 + 42)))
	is "$mode: ... and the core's descriptor in front" \
		"$(global tap.described)" $PACKETS
	is "$mode: the kernel's six counters are columns" "$(jq -r \
		'.data.global.columns[].name' "$LAB_DIR/frame.json" |
		grep -cE '^xsk[.](rx_(dropped|invalid|ring_full|fill_empty)|tx_(invalid|empty))$')" 6
	is "$mode: what is given back twice is refused" \
		"$(stat .pool.refused)" $PACKETS
	send_and_hear $((TAP_PORT + 1))
	is "$mode: another port arrives" "$ARRIVED" $PACKETS
	send_and_hear $TAP_PORT $OTHER
	is "$mode: another address too" "$ARRIVED" $PACKETS
	is "$mode: none was lost between" "$(lost)" 0
}

# Packets that there is no room for pass by.
too_long()
{
	listen $ADDRESS $TAP_PORT
	lab_shaper ip link set subs mtu 3000
	lab_shaper ip link set inet mtu 3000
	lab_subs ip link set eth0 mtu 3000
	lab_inet ip link set eth0 mtu 3000
	send 10 $TAP_PORT $ADDRESS 1000 1900
	heard
	is "packets longer than a frame pass by" "$ARRIVED" 10
	is "... and are counted" "$(tap too_long)" 10
}

# lost: by the kernel, between the program and the sockets.
lost()
{
	stat '[.sockets[] | .rx_dropped + .rx_ring_full + .rx_fill_empty] | add'
}

keeps_them()
{
	local mode=$1 full

	lab_stop
	tap_ini "$mode" prefix=$ADDRESS port=$TAP_PORT does=hoard \
		xsk.frames=1024 xsk.ring=256
	tap_daemon
	send_and_hear
	full=$(tap tap_full)
	at_least "$mode: a tap that gives nothing back gets its share" \
		"$(tap held)" 512
	is "$mode: ... and the others pass by: none is lost" \
		$(($(tap taken) + ARRIVED)) $PACKETS
	at_least "$mode: ... and are counted" "$full" 1000
	is "$mode: ... all of them" "$(all_passed)" "$ARRIVED"
	like "$mode: the log says who holds them" "$(<"$LAB_LOG")" \
		'tap: holds [0-9]+ of 1024 frames, its share: its packets pass'
	is "$mode: xsk.stat says so" "$(tap full)" true

	lab_stop
	tap_ini "$mode" prefix=$ADDRESS port=$TAP_PORT does=hoard \
		xsk.frames=1024 xsk.ring=256 xsk.share=100
	tap_daemon
	send_and_hear
	is "$mode: with all frames for it, the pool is dry" \
		"$(stat .pool.available)" 0
	is "$mode: ... and the others pass by: none is lost" \
		$(($(tap taken) + ARRIVED)) $PACKETS
	is "$mode: ... and are counted" "$(all_passed)" "$ARRIVED"
	like "$mode: the log says so" "$(<"$LAB_LOG")" \
		'the pool of 1024 frames is dry: packets pass by'
	send_and_hear $((TAP_PORT + 1))
	is "$mode: other packets arrive as before" "$ARRIVED" $PACKETS
	is "$mode: the kernel never lost one for want of a frame" "$(lost)" 0
}

# It gives them back, but 5 ms later, and its share is less than what comes by
# then.
gives_back_late()
{
	lab_stop
	tap_ini native prefix=$ADDRESS port=$TAP_PORT does=late xsk.frames=256 \
		xsk.ring=64
	tap_daemon
	send_and_hear
	is "late: none is lost" $(($(tap taken) + ARRIVED)) $PACKETS
	at_least "late: most are taken: it is not left out for long" \
		"$(tap taken)" $((PACKETS / 2))
	is "late: all frames are back" "$(tap held)" 0
}

# Nobody empties the rings.
stuck()
{
	local mode=$1 taken

	lab_stop
	tap_ini "$mode" prefix=$ADDRESS port=$TAP_PORT xsk.ring=256
	tap_daemon
	listen $ADDRESS $TAP_PORT
	kill -STOP "$LAB_DAEMON"
	send
	kill -CONT "$LAB_DAEMON"
	heard
	taken=$(tap taken)
	is "$mode: while the daemon is stopped, what has no frame passes by" \
		$((taken + ARRIVED)) $PACKETS
	note "$taken waited for it"
	at_least "$mode: ... once the ring is full" "$ARRIVED" \
		$((PACKETS - 1024))
	sleep 1
	is "$mode: what waited is there afterwards" "$(stat '.sockets |
		map(.received) | add')" "$taken"
	send_and_hear
	is "$mode: ... and the tap works as before" "$ARRIVED" 0
	is "$mode: the kernel lost none" "$(lost)" 0

	listen $ADDRESS $TAP_PORT
	lab_stop KILL
	send
	heard
	is "$mode: when it is killed, all pass by" "$ARRIVED" $PACKETS
	tap_daemon
	is "$mode: the next one begins to count anew" "$(tap taken)" 0
	send_and_hear
	is "$mode: ... and takes them again" "$ARRIVED" 0
	is "$mode: ... with one tap" "$(stat '.taps | length')" 1
}

# lend N: of all queues, credit for so many packets that no frames are there for.
lend()
{
	local map=$LAB_PINS/maps/xsk/xk_credits

	bpftool -j map dump pinned "$map" | jq -r --argjson n "$1" '.[] |
		select(.formatted.value.filled > 0) |
		[.formatted.key, .formatted.value.filled + $n,
			.formatted.value.taken] | @tsv' |
	python3 -c '
import struct, subprocess, sys
for line in sys.stdin:
    key, filled, taken = map(int, line.split())
    value = struct.pack("<Q56xQ56x", filled, taken)
    subprocess.run(["bpftool", "map", "update", "pinned", sys.argv[1], "key",
                    *map(str, struct.pack("<I", key)), "value",
                    *map(str, value)], check=True)' "$map"
}

# What the kernel loses between the program and the socket is counted, and does
# not count for ever as taken.
loses_some()
{
	lab_stop
	tap_ini native prefix=$ADDRESS port=$TAP_PORT xsk.ring=64
	tap_daemon
	kill -STOP "$LAB_DAEMON"
	lend 500
	result $? "credit is lent"
	send
	kill -CONT "$LAB_DAEMON"
	sleep 3
	settle
	take_frame
	at_least "what has credit and no frame is lost" "$(lost)" 400
	is "... and a column says so" "$(global xsk.rx_dropped)" \
		"$(stat '[.sockets[].rx_dropped] | add')"
	is "... as another does of what was taken" "$(global xsk.taken)" \
		"$(tap taken)"
	is "... and of what was received" "$(global xsk.received)" \
		"$(stat '[.sockets[].received] | add')"
	send_and_hear
	is "... and the tap works as before" "$ARRIVED" 0
}

by_circuit()
{
	lab_stop
	tap_ini native circuit=$CIRCUIT about=3
	tap_daemon
	send_and_hear
	is "by circuit: what is its own is taken" "$ARRIVED" 0
	send_and_hear $TAP_PORT $OTHER
	is "... another's is not" "$ARRIVED" $PACKETS

	lab_stop
	tap_ini native prefix=$ADDRESS interface=subs about=3
	tap_daemon
	send_and_hear
	is "by interface: what arrives on another is not taken" "$ARRIVED" \
		$PACKETS
}

# sockets_of INTERFACE COUNT: within some seconds it has so many.
sockets_of()
{
	local i

	for ((i = 0; i < 60 * SLOW; i++)); do
		[ "$(stat "[.sockets[] | select(.interface == \"$1\")] |
			length")" = "$2" ] && return
		sleep 0.1
	done
	return 1
}

# Ticks of CPU that the daemon has had.
cpu_ticks()
{
	awk '{ print $14 + $15 }' "/proc/$LAB_DAEMON/stat"
}

# An interface loses its link; it goes, and comes again with the same name.
comes_back()
{
	local mode=$1 queues ticks

	lab_stop
	tap_ini "$mode" prefix=$ADDRESS port=$TAP_PORT
	tap_daemon
	AVAILABLE=$(stat .pool.available)
	lab_shaper ip link set inet down
	lab_shaper ip link set inet up
	sleep 2
	send_and_hear
	is "$mode: after its link was down, packets are taken" "$ARRIVED" 0

	queues=$(stat '[.sockets[] | select(.interface == "inet")] | length')
	lab_shaper ip link del inet
	check "$mode: sockets of an interface that is gone are closed" \
		sockets_of inet 0
	ticks=$(cpu_ticks)
	sleep 2
	[ $(($(cpu_ticks) - ticks)) -lt 60 ]
	result $? "$mode: ... and nothing turns in circles"
	lab_side inet "$LAB_NS_INET" "${LAB_CLIENTS4[0]}" \
		"${LAB_CLIENTS6[0]}" <<<"198.51.100.1/24
2001:db8:ffff::1/64 nodad" || bail "no new interface"
	check "$mode: they are opened again when it comes back" \
		sockets_of inet "$queues"
	sleep 2 # until its addresses are usable
	send_and_hear
	is "$mode: ... and packets are taken" "$ARRIVED" 0
	is "$mode: ... all of them" "$(tap taken)" $((2 * PACKETS))
	is "$mode: the pool is as full as before" \
		"$(stat '.pool.available + ([.sockets[].outstanding] | add)')" \
		"$AVAILABLE"
}

# A second module like it, in the same folder.
build_second()
{
	local dir=$LAB_DIR/module

	sed 's/"tap"/"second"/' "$NET_TOP/tests/module/tap.c" >"$dir/second.c" ||
		return
	# shellcheck disable=SC2046,SC2086
	${CC:-gcc} -std=gnu11 -shared -fPIC -O2 ${CFLAGS:-} "$dir/second.c" \
		-o "$dir/second.so" $(PKG_CONFIG_PATH=$ROOT/lib/pkgconfig \
		pkg-config --cflags --libs lqos lqos-xsk)
}

# Two modules on the same queues, one of which gives nothing back.
two_taps()
{
	lab_stop
	check "a second module is built" build_second
	tap_ini native prefix=$ADDRESS port=$TAP_PORT xsk.frames=2048 \
		xsk.ring=256
	printf '[second]\nprefix = %s\nport = %d\ndoes = hoard\n' $ADDRESS \
		$((TAP_PORT + 1)) >>"$LAB_INI"
	tap_daemon second
	send_and_hear $((TAP_PORT + 1))
	is "of two taps one keeps what it gets: none is lost" \
		$(($(stat '.taps[1].taken') + ARRIVED)) $PACKETS
	is "... and it is full" "$(stat '[.taps[].full] | tostring')" \
		"[false,true]"
	send_and_hear
	is "... but the other gets all of its own" "$ARRIVED" 0
	is "... from sockets of the same queues" "$(stat '.sockets |
		group_by([.interface, .queue]) | map(length) | unique[]')" 2
	send_and_hear $((TAP_PORT + 2))
	is "... and what is nobody's arrives" "$ARRIVED" $PACKETS
	is "the kernel lost none" "$(lost)" 0
}

# refused PATTERN KEY=VALUE...
refused()
{
	local pattern=$1 output

	shift
	tap_ini native "$@"
	output=$(lab_shaper timeout 20 "$ROOT/sbin/lqosd" -c "$LAB_INI" \
		-M "$(so)" -m steering,xsk,tap 2>&1)
	is "refused: $*" $? 1
	like "... and why" "$output" "$pattern"
}

bad_input()
{
	lab_stop
	refused 'prefix "300.1.2.3": an address or prefix was expected' \
		prefix=300.1.2.3
	refused 'ARP is about IPv4 addresses' prefix=2001:db8::1 about=4
	refused 'without a VLAN' prefix=$ADDRESS%5
	refused "circuit $CIRCUIT: ARP is of no circuit" circuit=$CIRCUIT \
		about=5
	refused 'share = 1 of frames = 64 is less than a batch of 64' \
		prefix=$ADDRESS xsk.share=1 xsk.frames=64
	refused 'port 7: protocol 1 has none' prefix=$ADDRESS port=7 proto=1
	refused 'ring = 100: a power of two' xsk.ring=100
	refused 'frame_size = 3000: 2048 or 4096' xsk.frame_size=3000
	refused 'huge pages' xsk.huge=must xsk.frames=1000000 \
		xsk.frame_size=4096
	is "and without the module xsk" "$(lab_shaper timeout 20 \
		"$ROOT/sbin/lqosd" -c "$LAB_INI" -M "$(so)" -m steering,tap \
		2>&1 | grep -c 'tap.* needs .*xsk')" 1
}

run()
{
	check "the example builds against the installed headers" \
		"$NET_TOP/tests/module/build" "$ROOT" "$LAB_DIR/module"
	takes_what_it_asked_for generic
	lab_stop
	takes_what_it_asked_for native
	too_long
	keeps_them generic
	keeps_them native
	gives_back_late
	stuck generic
	stuck native
	loses_some
	by_circuit
	comes_back generic
	comes_back native
	two_taps
	bad_input
	is "no sanitizer reports" "$(sanitizer_reports)" ""
}

net_begin 121
run
