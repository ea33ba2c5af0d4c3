#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl pping and xdp_pping against a real lqosd: that they find it, and that
# what it sends is what they read.  How true it is rtt.sh looks at; the formats
# are tests/unit/test_pping_*.c's.

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CIRCUIT=1001
ADDRESS4=100.64.1.1
ADDRESS6=2001:db8:1001::1

network()
{
	mkdir -p "$LAB_DIR" || return
	cat >"$LAB_DIR/few.json" <<-END
		{"Site": {"downloadBandwidthMbps": 100, "uploadBandwidthMbps": 100}}
	END
	{
		sed -n '/^Circuit ID/p' "$LAB_HERE/ShapedDevices.csv"
		echo "$CIRCUIT,,dev-a,,Site,,,,$ADDRESS4,$ADDRESS6,1,1,50,10,"
		echo "1002,,dev-b,,Site,,,,100.64.20.0/29,,1,1,50,10,"
	} >"$LAB_DIR/few.csv"
	lab_up "$LAB_DIR/few.csv" || return
	lab_ini "shaped_devices=$LAB_DIR/few.csv" \
		"network_json=$LAB_DIR/few.json" "modules=steering,pping"
}

# ---- Programs beside lqosctl ------------------------------------------------

# An lqosctl with programs of its own, which say how they were called.
programs()
{
	local name

	mkdir -p "$LAB_DIR/bin" && cp "$ROOT/bin/lqosctl" "$LAB_DIR/bin" || return
	for name in other-1 other-1-run status status-run; do
		cat >"$LAB_DIR/bin/lqosctl-$name" <<-'END'
			#!/bin/bash
			printf '[%s]' "$0" "$@" | sed 's|/[^]]*/||'
			echo
			exit 7
		END
		chmod +x "$LAB_DIR/bin/lqosctl-$name" || return
	done
}

with_programs()
{
	local output rc

	output=$("$LAB_DIR/bin/lqosctl" "$@" 2>&1)
	rc=$?
	echo "$rc $output"
}

beside_lqosctl()
{
	is "a program is run with all that follows" "$(with_programs \
		other-1 --its=own -x 'a=b c' --json 1)" \
		"7 [lqosctl-other-1][--its=own][-x][a=b c][--json][1]"
	is "... and with options that are before it" "$(with_programs \
		-vS /no/bus --json -t 9 other-1 -y)" \
		"7 [lqosctl-other-1][--timeout=9][-j][-v][-S][/no/bus][-y]"
	like "a verb is the module's all the same" \
		"$(with_programs -S /no/bus other-1 verb)" \
		"^1 lqosctl: no lqosd listens on /no/bus .*: is it running[?] \
Nor is \"other-1 verb\" a program: try lqosctl other-1 --help\$"
	like "... of a module without a program" \
		"$(with_programs -S /no/bus other-2 verb)" \
		"^1 lqosctl: no lqosd listens on /no/bus .*: is it running[?]\$"
	is "... unless it is a program's" \
		"$(with_programs -j other-1 run -S x)" \
		"7 [lqosctl-other-1-run][-j][run][-S][x]"
	like "a verb has no path in it" \
		"$(with_programs -S /no/bus other-1 ../lqosctl-other-1)" \
		"^1 lqosctl: no lqosd"
	like "a command is no program" "$(with_programs -S /no/bus status)" \
		"^1 lqosctl: no lqosd listens on /no/bus"
	like "... nor is what is short for one" \
		"$(with_programs -S /no/bus stat)" "^1 lqosctl: no lqosd"
	like "names have no path in them" \
		"$(with_programs -S /no/bus ../bin/other-1)" "^1 lqosctl: no lqosd"
}

# ---- Traffic ----------------------------------------------------------------

# All in the background, from the subscriber, until it is stopped.
TRAFFIC=()

ping_from()
{
	nsenter --net="/run/netns/$LAB_NS_SUBS" -- ping -q -n -i 0.1 \
		-I "$1" "$2" >/dev/null 2>&1 </dev/null &
	TRAFFIC+=($!)
}

traffic()
{
	ping_from "$ADDRESS4" "$LAB_INET4"
	ping_from "$ADDRESS6" "$LAB_INET6"
	ping_from 100.64.20.1 "$LAB_INET4"
	{ lab_server 5401 && lab_server 5402; } || bail "no iperf3 server"
	lab_iperf "$ADDRESS4" 5401 -R -t 90 -b 2M -i 0 >/dev/null 2>&1 &
	TRAFFIC+=($!)
}

traffic_ends()
{
	kill "${TRAFFIC[@]}" 2>/dev/null
	wait "${TRAFFIC[@]}" 2>/dev/null
}

# ---- What is printed --------------------------------------------------------

# rtts FILE FILTER: of a jsonl file.
rtts()
{
	jq -rs "map(select(.rtt)) | $2" "$1"
}

single_ones()
{
	local file=$LAB_DIR/rtts.jsonl text

	check "lqosctl pping, for so many seconds" \
		ctl pping -v --format=jsonl --seconds=5 --write "$file"
	is "sides, kinds and protocols" "$(rtts "$file" "map(select(
		.circuit_id == \"$CIRCUIT\") | [.side, .kind, .protocol] |
		join(\" \")) | unique - [\"internet ack TCP\"] |
		join(\", \")")" \
		"access ack TCP, internet icmp ICMP, internet icmp ICMPv6"
	is "src is who has answered" "$(rtts "$file" "map(select(
		.side == \"internet\" and .circuit_id == \"$CIRCUIT\") |
		.src_ip) | unique | join(\" \")")" "$LAB_INET4 $LAB_INET6"
	at_least "RTTs of a second" "$(rtts "$file" \
		'map(select(.kind == "icmp")) | length')" 60
	is "none is longer than a second, or less than nothing" \
		"$(rtts "$file" 'map(select(.rtt <= 0 or .rtt > 1e9 or
		.min_rtt > .rtt)) | length')" 0
	is "they are of now" "$(rtts "$file" "map(select(
		.timestamp / 1e9 - $(date +%s) | fabs > 30)) | length")" 0
	text=$(ctl pping circuit=1002 side=internet proto=icmp --seconds 3)
	like "standard" "$text" "^[0-9:]{8}[.][0-9]{9} [0-9.]+ ms [0-9.]+ ms \
ICMP $LAB_INET4:[0-9]+[+]100.64.20.1:[0-9]+$"
	is "... of that circuit only" \
		"$(grep -v " due to " <<<"$text" | grep -vc 100.64.20.1)" 0
	like "ppviz" "$(ctl pping ip=2001:db8:1000::/36 --format ppviz \
		--seconds 3)" "^[0-9]{10}[.][0-9]{9} 0[.][0-9]{9} 0[.][0-9]{9} \
$LAB_INET6:[0-9]+[+]$ADDRESS6:[0-9]+$"
	like "an address that is none" "$(ctl pping ip=bad 2>&1)" \
		"^lqosctl: .*pping[.].*: ip: expected an address or prefix$"
	like "a protocol that is none" "$(ctl watch pping.samples \
		'{"protocol":"left"}' 2>&1)" "protocol: expected tcp, udp"
	like "a param that is none" "$(ctl watch pping.flows '{"side":1}' \
		2>&1)" "side: expected no such param, but ip, circuit or protocol"
}

# A connection that begins meanwhile, and one that had begun.
flows()
{
	local file=$LAB_DIR/flows.jsonl

	ctl pping -F jsonl --seconds 4 "ip=$ADDRESS4" >"$file" &
	sleep 1.5
	lab_iperf "$ADDRESS4" 5402 -n 100K -i 0 >/dev/null 2>&1
	wait $!
	is "a connection opens with its handshake" "$(jq -rs "map(select(
		.flow_event == \"opening\" and .protocol == \"TCP\" and
		.dest_port == 5402) | [.src_ip, .reason, .triggered_by] |
		join(\" \")) | unique | join(\", \")" "$file")" \
		"$ADDRESS4 SYN-ACK dest"
	like "a circuit that is none" "$(ctl pping circuit=9999 --seconds 2 \
		2>&1)" "^lqosctl: circuit 9999: no subscriber has that id"
}

reports()
{
	local file=$LAB_DIR/reports.json

	ctl pping -j -a 2 --seconds 5 >"$file"
	is "three reports, the last a shorter one" "$(jq -c '
		[.[] | select(.protocol_counters)] | length' "$file")" 3
	is "all of the samples are in their networks' histograms" "$(jq -c '
		[.[] | select(.histogram) | (.histogram | add) == .count_rtt] |
		all' "$file")" true
	is "there is traffic of both ends" "$(jq -c '
		[.[] | select(.ip_prefix and .rx_stats.other.packets > 0 and
			.tx_stats.other.packets > 0) | .ip_prefix] | unique' \
		"$file")" '["100.64.1.0/24","100.64.20.0/24","198.51.100.0/24","2001:db8:1001::/48","2001:db8:ffff::/48"]'
	is "of TCP, with timestamps or without, of TCP in all" "$(jq -c '
		([.[] | .rx_stats? | select(.) | .TCP_TS.packets // 0,
			.TCP_noTS.packets // 0] | add) as $by_network |
		([.[] | .protocol_counters.TCP.packets? // 0] | add) |
		. == $by_network and . > 500' "$file")" true
	is "ECN bits of every packet" "$(jq -c '
		([.[] | .protocol_counters? | select(.) | .[].packets] | add) as
			$all |
		([.[] | .ecn_counters? | select(.) | .[]] | add) |
		(. - $all | fabs) < $all / 5' "$file")" true
	near "pings, there and back" "$(jq '[.[] |
		.protocol_counters.ICMP.packets? // 0] | add' "$file")" 200 300
}

# datagrams FILE REPORT: of a network, in kbyte.
datagrams()
{
	jq "[.[] | select(.ip_prefix == \"198.51.100.0/24\") |
		.$2.other.bytes // 0] | add / 1000 | floor" "$1"
}

# What nobody answers, so that nothing is measured: 1250 kbyte of it.
no_round_trips()
{
	local file=$LAB_DIR/no_round_trips.json

	ctl pping -j -a 20 --seconds 5 circuit=1002 >"$file" &
	TRAFFIC+=($!)
	sleep 1.5
	lab_iperf 100.64.20.1 5402 -u -b 5M -t 2 -i 0 >/dev/null 2>&1
	wait "${TRAFFIC[-1]}"
	near "datagrams that nobody answers" "$(datagrams "$file" tx_stats)" \
		1250 50
	is "... came from nobody else" \
		"$(($(datagrams "$file" rx_stats) < 10))" 1
}

# What a sample tells of its flow is since somebody watches: those of before are
# gone for some ticks.
since_watched()
{
	local file=$LAB_DIR/since.jsonl

	sleep 6
	ctl pping side=access proto=tcp "ip=$ADDRESS4" --format jsonl \
		--seconds 5 >"$file"
	near "a flow's payload since somebody watches" "$(rtts "$file" \
		"map(.sent_bytes) | max")" 1100000 250
	is "... and nothing of before" "$(rtts "$file" \
		"map(.sent_bytes) | min < 400000")" true
}

for_scripts()
{
	local text class

	class=$(ctl -j call steering.list | jq -r --arg ip "$ADDRESS4/32" \
		'[.[] | select(.ip == $ip or .ip + "/32" == $ip)][0].class')
	text=$("$ROOT/bin/xdp_pping" -S "$LAB_BUS")
	is "xdp_pping: the subscriber with TCP, and the end" "$(jq -c \
		--arg tc "$class" '[.[].tc] == [$tc, null]' <<<"$text")" true
	is "... in order" "$(jq -c '.[0] | .samples > 0 and .min <= .avg and
		.avg <= .max and .min <= .median and .median <= .max' \
		<<<"$text")" true
	is "... and of the internet both" "$("$ROOT/bin/xdp_pping" --internet \
		-S "$LAB_BUS" | jq -c 'length')" 3
	is "... and all of it" "$("$ROOT/bin/xdp_pping" --json \
		-S "$LAB_BUS" | jq -c 'map(.circuit_id)')" "[\"$CIRCUIT\",\"1002\"]"
	like "lqosctl pping subscribers is the method" \
		"$(ctl -j pping subscribers | jq -c 'map(.circuit_id)')" "1001"
}

# ends SIGNAL|daemon DESCRIPTION WANTED
ends()
{
	local file=$LAB_DIR/$1.json pid rc

	# What it is run for it becomes, under the same pid.
	"$ROOT/bin/lqosctl" -S "$LAB_BUS" pping --format json \
		>"$file" 2>"$file.err" &
	pid=$!
	sleep 3
	if [ "$1" = daemon ]; then
		lab_stop KILL
	else
		kill -s "$1" "$pid"
	fi
	wait $pid
	rc=$?
	is "$2" "$rc $(jq -c 'length > 20' "$file")" "$3"
}

without_daemon()
{
	local output rc

	output=$(ctl -j pping 2>"$LAB_DIR/err")
	rc=$?
	is "lqosctl pping without a daemon" "$rc $output" "1 []"
	like "... says why" "$(<"$LAB_DIR/err")" "^lqosctl: no lqosd listens"
	output=$("$ROOT/bin/xdp_pping" -S "$LAB_BUS" 2>"$LAB_DIR/err")
	rc=$?
	is "xdp_pping without a daemon" "$rc $output" "1 [{}]"
	like "... says why" "$(<"$LAB_DIR/err")" "^xdp_pping: no lqosd listens"
}

net_plan 46
network || bail "no network"
programs || bail "no programs"
beside_lqosctl
without_daemon
daemon
traffic
sleep 3
single_ones
reports
since_watched
for_scripts
no_round_trips
flows
ends INT "interrupted, an array is whole" "0 true"
ends TERM "terminated, too" "0 true"
ends daemon "and without a daemon" "1 true"
traffic_ends
lab_stop
