#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each circuit's class has CAKE, and then fq_codel, below it: steered packets go
# through the leaf of their class, at the circuit's rate, and who has filled his
# class still has short round trips.

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../net/lib.sh"

DOWN_MBIT=2
UP_MBIT=1
# A FIFO of HTB's own, of 1000 packets, is seconds long at these rates.
PING_MS=500
PINGS=40

devices()
{
	sed -n '/^Circuit ID/p' "$LAB_HERE/ShapedDevices.csv"
	echo "down,,d1,,,,,,100.64.9.1,,1,1,$DOWN_MBIT,20,"
	echo "up,,d2,,,,,,100.64.9.2,2001:db8:9:2::1,1,1,20,$UP_MBIT,"
	echo "easy,,d3,,,,,,100.64.9.3,,1,1,20,20,"
	echo "quiet,,d4,,,,,,100.64.9.4,,1,1,20,20,"
}

# leaf SIDE CIRCUIT KEY: of the qdisc below its class.
leaf()
{
	lab_shaper tc -s -j qdisc show dev "$1" |
		jq -r --arg key "$3" --arg class "$(planned "$2" class)" \
			'[.[] | select(.parent == $class) | .[$key]][0] // 0'
}

# Leaves of that kind that are below a circuit's class.
leaves()
{
	lab_shaper tc -j qdisc show dev "$1" | jq --arg kind "$2" \
		--slurpfile tree "$LAB_DIR/tree.json" '
		[$tree[0].circuits[].class] as $classes | [.[] |
		select(.kind == $kind and (.parent | IN($classes[])))] | length'
}

# reading SIDE CIRCUIT: bytes that its leaf has sent, and between which times, in
# nanoseconds, they were looked up.
reading()
{
	local class before after stats

	class=$(planned "$2" class)
	before=$(date +%s%N)
	stats=$(lab_shaper tc -s -j qdisc show dev "$1")
	after=$(date +%s%N)
	echo "$before" "$(jq --arg class "$class" '.[] |
		select(.parent == $class) | .bytes' <<<"$stats")" "$after"
}

# rate FIRST SECOND: bit/s between two readings, at least.
rate()
{
	awk -v first="$1" -v second="$2" 'BEGIN {
		split(first, a, " ")
		split(second, b, " ")
		printf "%.0f", (b[2] - a[2]) * 8e9 / (b[3] - a[1]) }'
}

# drained SIDE CIRCUIT: nothing is on its way through the leaf any more.
drained()
{
	local i

	for ((i = 0; i < 100; i++)); do
		[ "$(leaf "$1" "$2" backlog)" != 0 ] || return
		sleep 0.2
	done
	note "$2 has not been drained in 20 s"
}

# full CIRCUIT SIDE RATE WANTED: 4 tests.  A class saves up next to nothing of what
# it may send: what a CPU that stood still has missed is gone.
full()
{
	note "$WHAT: $1 has $3 bit/s of $4"
	at_least "$WHAT: $1 has its rate" "$3" $(($4 * 3 / 4))
	at_least "$WHAT: ... and no more than that" $(($4 * 101 / 100)) "$3"
	near "$WHAT: ... all through its leaf" "$(leaf "$2" "$1" bytes)" \
		"$(class_bytes "$2" "$(planned "$1" class)")" 1
	at_least "$WHAT: ... which drops what is too much" \
		"$(leaf "$2" "$1" drops)" 50
}

try()
{
	local side down up ping
	WHAT=$1

	lab_shaper tc qdisc del dev subs root 2>/dev/null
	lab_shaper tc qdisc del dev inet root 2>/dev/null
	LAB_LEAF=$1 make_htb
	for side in subs inet; do
		is "$WHAT: there is one for each circuit at $side" \
			"$(leaves $side "$1")" 4
	done
	# Half as much again as the plans have, until there are readings; such rates
	# are not the machine's, but theirs.
	flow down 100.64.9.1 -t 100 -u -R -b $((1500 * PACE * DOWN_MBIT))K
	flow up 2001:db8:9:2::1 -t 100 -u -b $((1500 * PACE * UP_MBIT))K
	flow easy 100.64.9.3 -t 3 -u -b 1M --bidir
	sleep 2
	down=$(reading subs down)
	up=$(reading inet up)
	ping=$(lab_subs ping -q -n -i 0.2 -c $PINGS -W 2 \
		-I 100.64.9.1 "$LAB_INET4")
	down=$(rate "$down" "$(reading subs down)")
	up=$(rate "$up" "$(reading inet up)")
	wait "${FLOW_PID[easy]}"
	ip netns pids "$LAB_NS_SUBS" | xargs -r kill
	flows_end 10
	drained subs down
	drained inet up
	full down subs "$down" $((DOWN_MBIT * 1000000))
	full up inet "$up" $((UP_MBIT * 1000000))
	near "$WHAT: below its rate a circuit loses nothing, down" \
		"$(leaf subs easy bytes)" "$(flow_bytes easy down)" 15
	near "$WHAT: ... nor up" \
		"$(leaf inet easy bytes)" "$(flow_bytes easy up)" 15
	is "$WHAT: nothing is in the leaves of who is quiet" \
		"$(leaf subs quiet bytes) $(leaf inet quiet bytes)" "0 0"
	note "$ping"
	at_least "$WHAT: pings of who has filled his class come back" \
		"$(awk '/received/ { print $4 }' <<<"$ping")" $((PINGS * 9 / 10))
	at_least "$WHAT: ... $PING_MS ms is more than they need" $PING_MS \
		"$(awk -F/ '/^rtt/ { printf "%.0f", $5 }' <<<"$ping")"
}

tc qdisc add dev lo root cake 2>/dev/null || skip_all "this kernel has no CAKE"
tc qdisc del dev lo root
net_plan $((2 * 15 + 3))
mkdir -p "$LAB_DIR" && devices >"$LAB_DIR/devices" && echo '{}' >"$LAB_DIR/nodes"
lab_up "$LAB_DIR/devices" || bail "no lab"
lab_ini "shaped_devices=$LAB_DIR/devices" "network_json=$LAB_DIR/nodes" \
	modules=steering,throughput,lqtop
daemon
try cake
try fq_codel
lab_stop
is "lqosd ends with status 0" $? 0
is "no report of a sanitizer" "$(sanitizer_reports)" ""
