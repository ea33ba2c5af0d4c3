#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# How true are pping's round-trip times?  On both sides of the shaper there is
# a wire that takes its time (delaywire.c), 5 ms each way to the subscribers and
# 15 to the internet.  What pping says of real traffic is held against these
# times, and against what an offline reference makes of a capture of the very
# same packets (rtt_oracle.py).
#
#	subs:eth0 == [5 ms] == subs -- br0 -- inet == [15 ms] == inet:eth0
#
# rtt.sh --wire	no lqosd; tells what wires and reference do by themselves
# KEEP=DIR	a folder there for each run: captures, logs, samples

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WIRE_ONLY=
[ "${1:-}" != --wire ] || WIRE_ONLY=1
KEEP=${KEEP:-}
ACCESS_US=5000
INTERNET_US=15000
LAST_CPU=$(($(lab_cpus) - 1))
WIRE=  # delaywire, of the run
WATCH= # lqosctl, of the daemon

# Each scenario has a subscriber of its own, so that it has its columns.
SCENARIOS="rr idle held push short icmp dns quic down up burst plain plain_rr
	loss reorder queue longer"

number_of()
{
	# shellcheck disable=SC2086
	printf '%s\n' $SCENARIOS | grep -nx "$1" | cut -d: -f1
}

address()
{
	if [ "$2" = 6 ]; then
		echo "2001:db8:9:$(number_of "$1")::1"
	else
		echo "100.64.9.$(number_of "$1")"
	fi
}

devices()
{
	local name

	sed -n '/^Circuit ID/p' "$LAB_HERE/ShapedDevices.csv"
	for name in $SCENARIOS; do
		echo "$name,,d$name,,,,,,$(address "$name" 4),$(
			address "$name" 6),1,1,1000,1000,"
	done
}

# ---- The wires --------------------------------------------------------------

plain_frames()
{
	nsenter --net="/run/netns/$1" -- ethtool -K "$2" \
		tso off gso off gro off tx off rx off >/dev/null
}

# Between SIDE's host and the shaper comes the namespace that a stick's switch
# has otherwise: it has SIDE, and SIDE_host.
wire_in()
{
	local side=$1

	ip -n "$LAB_NS_SHAPER" link set "$side" netns "$LAB_NS_SWITCH" \
		name "${side}_host" || return
	lab_veth "$side" "$LAB_NS_SHAPER" "$side" "$LAB_NS_SWITCH" \
		"$(lab_cpus)" || return
	plain_frames "$LAB_NS_SWITCH" "$side" || return
	plain_frames "$LAB_NS_SWITCH" "${side}_host" || return
	plain_frames "$LAB_NS_SHAPER" "$side" || return
	ip -n "$LAB_NS_SWITCH" link set "${side}_host" up || return
	ip -n "$LAB_NS_SWITCH" link set "$side" up || return
	ip -n "$LAB_NS_SHAPER" link set "$side" up master br0
}

network()
{
	mkdir -p "$LAB_DIR" || return
	devices >"$LAB_DIR/devices"
	head -n 1 "$LAB_DIR/devices" >"$LAB_DIR/nobody"
	echo '{}' >"$LAB_DIR/nodes"
	lab_up "$LAB_DIR/devices" || return
	ip netns add "$LAB_NS_SWITCH" || return
	nsenter --net="/run/netns/$LAB_NS_SWITCH" -- sysctl -qw \
		net.ipv6.conf.default.disable_ipv6=1 || return
	plain_frames "$LAB_NS_SUBS" eth0 || return
	plain_frames "$LAB_NS_INET" eth0 || return
	wire_in subs && wire_in inet && acquaint
}

hardware_address()
{
	ip -n "$1" -j link show dev eth0 | jq -r '.[0].address'
}

# The hosts know each other: the first packets do not wait for ARP.
acquaint()
{
	local to name family

	to=$(hardware_address "$LAB_NS_INET")
	for name in $LAB_INET4 $LAB_INET6; do
		echo "neigh replace $name lladdr $to dev eth0 nud permanent"
	done | ip -n "$LAB_NS_SUBS" -batch - || return
	to=$(hardware_address "$LAB_NS_SUBS")
	for name in $SCENARIOS; do
		for family in 4 6; do
			echo "neigh replace $(address "$name" $family)" \
				"lladdr $to dev eth0 nud permanent"
		done
	done | ip -n "$LAB_NS_INET" -batch -
}

# wires [LOSS_PPM,REORDER_PPM]: of the access.
wires()
{
	in_background "$LAB_NS_SWITCH" "$NET_BUILD/delaywire" -c "$LAST_CPU" \
		-l "$LAB_DIR/wire.log" \
		"subs_host,subs,$ACCESS_US,$ACCESS_US${1:+,$1}" \
		"inet,inet_host,$INTERNET_US,$INTERNET_US" \
		>"$LAB_DIR/wire.json" 2>"$LAB_DIR/wire.err"
	WIRE=$!
	grows "$LAB_DIR/wire.err" ready "$WIRE"
}

# ---- Traffic ----------------------------------------------------------------

# client SCENARIO KIND FAMILY SECONDS [ARGUMENT...]
client()
{
	local name=$1 kind=$2 to=$LAB_INET4 from

	from=$(address "$1" "$3")
	[ "$3" = 4 ] || to=$LAB_INET6
	echo "$name $from" >>"$LAB_DIR/scenarios"
	if [ "$kind" = ping ]; then
		lab_subs timeout $(($4 + 10)) ping -q -n -i 0.04 \
			-c $((25 * $4)) -I "$from" "$to" >/dev/null
	else
		lab_subs timeout $(($4 + 10)) python3 -B "$RTT_TRAFFIC" client \
			"$kind" --from "$from" --to "$to" --seconds "$4" \
			"${@:5}" >/dev/null 2>>"$LAB_DIR/why"
	fi || echo "$name" >>"$LAB_DIR/failed"
}

# run WHAT WIRE OPTION_OF_JUDGE...: the clients on stdin, "SCENARIO KIND FAMILY
# SECONDS ...", all at once.  Whatever else the machine does is in the times too:
# if nothing but limits of time is not kept, it is done once more.
run()
{
	local clients

	mapfile -t clients
	traffic "$1" "$2" <<<"$(printf '%s\n' "${clients[@]}")"
	judge "${@:3}"
	if [ $? = "$AGAIN" ] && [ -z "$WIRE_ONLY" ]; then
		grep '^1' "$LAB_DIR/judged" | while IFS=$'\t' read -r _ text why; do
			note "$1, $text: $why; once more"
		done
		again
		traffic "$1" "$2" <<<"$(printf '%s\n' "${clients[@]}")"
		judge "${@:3}"
	fi
	tell "$1"
	keep "$1"
}

# traffic WHAT WIRE: of the clients on stdin, captured.
traffic()
{
	local what=$1 line pids=()

	rm -f "$LAB_DIR/scenarios" "$LAB_DIR/failed"
	wires "$2"
	TRACES=()
	trace subs
	trace inet
	lab_settled || bail "no connection over the wires"
	while read -r line; do
		# shellcheck disable=SC2086
		client $line &
		pids+=($!)
	done
	wait "${pids[@]}"
	# The kernel hands over what was captured once a second.
	if [ -n "$WIRE_ONLY" ]; then
		sleep 1.3
	else
		settle
		take_frame
	fi
	end "${TRACES[@]}"
	end "$WIRE"
	[ ! -s "$LAB_DIR/failed" ] || bail "$what: no traffic of" \
		"$(tr '\n' ' ' <"$LAB_DIR/failed"): $(tail -n 5 "$LAB_DIR/why")"
}

judge()
{
	local rc

	python3 -B "$NET_HERE/rtt_judge.py" "$LAB_DIR" \
		${WIRE_ONLY:+--wire} "$@" >"$LAB_DIR/judged"
	rc=$?
	[ $rc = 0 ] || grep -q '^1' "$LAB_DIR/judged" ||
		echo "1	judged" >>"$LAB_DIR/judged"
	return $rc
}

tell()
{
	local what=$1 rc text why

	while IFS=$'\t' read -r rc text why; do
		if [ "$rc" = - ]; then
			note "$what, $text"
		else
			result "$rc" "$what, $text" "$why"
		fi
	done <"$LAB_DIR/judged"
}

keep()
{
	[ -n "$KEEP" ] || return 0
	mkdir -p "$KEEP/$1"
	cp "$LAB_DIR"/{*.pcap,*.err,wire.json,wire.log,scenarios} "$KEEP/$1"
	[ -n "$WIRE_ONLY" ] ||
		cp "$LAB_DIR/feed.json" "$LAB_DIR/frame.json" "$KEEP/$1"
}

timestamps()
{
	lab_subs sysctl -qw "net.ipv4.tcp_timestamps=$1"
}

# A queue that is never empty: 10 Mbit/s to the subscribers.
narrow()
{
	lab_shaper tc qdisc add dev subs root handle 1: htb default 1 &&
		lab_shaper tc class add dev subs parent 1: classid 1:1 htb \
			rate 10mbit quantum 3028 &&
		lab_shaper tc qdisc add dev subs parent 1:1 pfifo limit 100
}

# steered: each scenario's subscriber has a row.
steered()
{
	run "mixed" "" <<-END
		rr rr 4 8
		idle idle 4 8
		held held 4 8
		push push 4 8
		short short 6 8
		icmp ping 4 8
		icmp ping 6 8
		dns dns 4 8
		quic quic 6 8
	END
	run "bulk" "" <<-END
		down down 4 6
		up up 6 6
	END
	run "bursts" "" <<-END
		burst burst 4 8 --rate 50
	END
	timestamps 0
	run "no timestamps" "" <<-END
		plain burst 4 5 --rate 30
		plain_rr rr 6 5
	END
	timestamps 1
	run "1 % lost" 10000,0 --lossy <<-END
		loss down 4 8
	END
	run "reordered" 0,10000 --lossy <<-END
		reorder down 4 6
	END
	narrow || bail "no queue"
	run "standing queue" "" --queue <<-END
		queue fill 4 8
	END
	lab_shaper tc qdisc del dev subs root
}

# The way to the internet becomes 20 ms longer under a connection of which each
# answer could have been held back for so long.  "SAMPLES LEAST MEDIAN", in ms, of
# those behind that.
lengthen()
{
	local client since

	wires ""
	lab_settled || bail "no connection over the wires"
	client longer beat 4 16 &
	client=$!
	sleep 4
	end "$WIRE"
	INTERNET_US=$((INTERNET_US + 10000)) wires ""
	since=$(date +%s%N)
	wait "$client"
	settle
	end "$WIRE"
	jq -rn --argjson since "$since" '[inputs | (.data // .).rows[] |
		select(.[0] > $since and .[1] == "internet" and .[9] == "ack") |
		.[2] / 1000000] | sort | [length, .[0], .[length / 2 | floor]] |
		map(. // 0) | join(" ")' "$LAB_DIR/feed.json" 2>/dev/null
}

longer()
{
	local seen try

	# What else the machine does makes answers differ.
	for try in 1 2; do
		seen=$(lengthen)
		seen=${seen:-0 0 0}
		note "longer, try $try: samples, least and median in ms: $seen"
		[ "${seen%% *}" -lt 20 ] || break
	done
	is "a longer way is seen, as it is" "$(awk '{
		print ($1 >= 20 && $2 >= 49.9 && $3 < 51.5) ? "yes" : "no" }' \
		<<<"$seen")" yes
}

# Without steering nobody is looked up, and XDP on the interfaces observes.
alone()
{
	run "pping alone" "" --unknown <<-END
		down down 6 5
		rr rr 4 5
		icmp ping 4 5
		dns dns 6 5
		quic quic 4 5
	END
}

# start MODULES [DEVICES]: and somebody who takes all samples.
start()
{
	STARTED=("$@")
	lab_ini "shaped_devices=$LAB_DIR/${2:-devices}" \
		"network_json=$LAB_DIR/nodes" "modules=$1" \
		"exclude_cpus=$LAST_CPU" "window=600" || bail "no ini"
	: >"$LAB_LOG"
	daemon
	# What another has written there is no sign of this one.
	rm -f "$LAB_DIR/feed.json"
	: >"$LAB_DIR/feed.json"
	setsid setpriv --pdeathsig TERM "$ROOT/bin/lqosctl" -S "$LAB_BUS" -j \
		watch pping.samples >"$LAB_DIR/feed.json" \
		2>"$LAB_DIR/feed.err" </dev/null &
	WATCH=$!
	grows "$LAB_DIR/feed.json" rows "$WATCH"
}

# Another daemon, whose counts begin at 0.
again()
{
	end "$WATCH"
	lab_stop
	start "${STARTED[@]}"
}

stop()
{
	end "$WATCH"
	lab_stop
	is "$1: lqosd ends with status 0" $? 0
	is "$1: no report of a sanitizer" "$(sanitizer_reports)" ""
}

# Of several CPUs the last one is the wires'.
prepare()
{
	command -v tcpdump >/dev/null || skip_all "no tcpdump"
	[ "$LAST_CPU" -gt 0 ] || skip_all "one CPU only"
	[ -x "$NET_BUILD/delaywire" ] || bail "no $NET_BUILD/delaywire"
	taskset -pc "0-$((LAST_CPU - 1))" $$ >/dev/null
}

# The total is of all, and nobody is filtered: on the screen it stands, too.
totals()
{
	local screen

	like "the total has the round trips of all" "$(jq -c '.data |
		(.subscribers.columns | map(.name) | index($name)) as $i |
		(.global.columns | map(.name) | index($name)) as $j |
		[.subscribers.totals[$i], .global.values[$j]] | unique' \
		--arg name pping.internet.p50 "$LAB_DIR/frame.json")" \
		'^\[[0-9]+\]$'
	screen=$(python3 -B "$NET_HERE/onpty.py" 10 '(total)' q \
		"$ROOT/bin/lqtop" -S "$LAB_BUS" |
		sed 's/\x1b[[(][0-9;?]*[a-zA-Z]/ /g' | tr '\r' '\n')
	like "the screen's total has round trips" "$screen" \
		'\(total\)( +[0-9]+\.[0-9]+){2}'
}

# As in rtt_judge.py: of each scenario of a run, and of each run; and whether
# there may be another one.
EACH=9
RUN=3
AGAIN=75

prepare
if [ -n "$WIRE_ONLY" ]; then
	net_plan $((7 + 1))
	network || bail "no lab"
	rtt_server
	steered
	exit
fi
net_plan $(((16 + 5) * EACH + 8 * RUN + 2 + 1 + 6 + 1))
network || bail "no lab"
rtt_server
start steering,flow,pping,lqtop
steered
stop "steered"
start steering,pping,lqtop
longer
stop "longer"
start pping,lqtop nobody
alone
totals
stop "alone"
