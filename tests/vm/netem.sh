#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# How true are pping's round-trip times to the kernel's own delays?  netem holds
# back what leaves the hosts and what leaves the shaper, for half of the delay
# each; rtt_oracle.py says from captures at the shaper what the very same packets
# took.
#
#	subs:eth0 <- 5 ms -> subs -- br0 -- inet <- 15 ms -> inet:eth0
#
# netem lets nothing go early, so that one sample below the delay is wrong.  What
# comes on top is the time that hosts and timers take: on an emulated CPU, which
# is 12 times slower and stands still whenever the real one has other work, 0.7 to
# 2.7 ms in the median, of which LATE_MS is the double.  The reference has that
# delay too: MEDIAN_MS is for the two medians, of not quite the same packets.

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../net/lib.sh"

ACCESS_MS=10
INTERNET_MS=30
LATE_MS=5
MEDIAN_MS=1
ENOUGH=20
declare -A SHOWN # what lqtop shows, by "CIRCUIT SIDE"

# Subscriber, his address, what he does; the sides that this tells much of.
CLIENTS="
1003	100.64.1.3		rr	access,internet
1016	2001:db8:1016::1	rr	access,internet
1001	100.64.1.1		burst	access
1005	2001:db8:1005::1	burst_up	internet
1018	100.64.6.1		ping	internet
"

clients()
{
	grep -v '^$' <<<"$CLIENTS"
}

# hold NS DEVICE MS: of what leaves there.
hold()
{
	nsenter --net="/run/netns/$1" -- tc qdisc add dev "$2" root \
		netem delay "$3ms" limit 20000 || bail "no netem at $2"
}

client()
{
	local from=$1 kind=$2 to

	to=$(lab_server_for "$from")
	if [ "$kind" = ping ]; then
		lab_subs ping -q -n -i 0.1 -c 60 -I "$from" "$to"
	else
		lab_subs timeout 60 python3 -B "$RTT_TRAFFIC" client "$kind" \
			--from "$from" --to "$to" --seconds 6 --rate 2
	fi >>"$LAB_DIR/clients" 2>&1 || bail "$kind from $from: no traffic:" \
		"$(tail -n 3 "$LAB_DIR/clients")"
}

run()
{
	local circuit address kind sides side

	TRACES=()
	trace subs
	trace inet
	"$ROOT/bin/lqosctl" -S "$LAB_BUS" -j watch pping.samples \
		>"$LAB_DIR/feed.json" 2>"$LAB_DIR/feed.err" </dev/null &
	WATCH=$!
	grows "$LAB_DIR/feed.json" rows "$WATCH"
	while read -r circuit address kind sides; do
		client "$address" "$kind" </dev/null
		# In frames are those who had packets lately.
		settle
		take_frame
		for side in ${sides//,/ }; do
			SHOWN[$circuit $side]=$(cell "$circuit" "pping.$side.p50")
		done
	done < <(clients)
	end "$WATCH" "${TRACES[@]}"
	python3 -B "$NET_HERE/rtt_oracle.py" --inside 100.64.0.0/10 \
		--inside 2001:db8::/33 --inside 2001:db8:fffe::/48 \
		"$LAB_DIR/subs.pcap" "$LAB_DIR/inet.pcap" >"$LAB_DIR/oracle" ||
		bail "no reference"
}

# of_samples SIDE CIRCUIT: "n min p50", in ms, of what pping has told.
of_samples()
{
	jq -rn --arg side "$1" --arg circuit "$2" '[inputs | .data // . |
		(.columns | [index("side", "circuit_id", "rtt_ns")]) as
			[$s, $c, $r] | .rows[] |
		select(.[$s] == $side and .[$c] == $circuit) | .[$r] / 1e6] |
		sort | "\(length) \(.[0] // 0) \(.[length / 2 | floor] // 0)"' \
		"$LAB_DIR/feed.json"
}

# of_oracle SIDE ADDRESS: the same, by the reference.
of_oracle()
{
	jq -r --arg host "$1 $2" '.host[$host] |
		"\(.n // 0) \(.min // 0) \(.p50 // 0)"' "$LAB_DIR/oracle"
}

# between DESCRIPTION GOT LEAST MOST: numbers with fractions.
between()
{
	local rc=0

	awk -v got="$2" -v least="$3" -v most="$4" 'BEGIN {
		exit !(got >= least && got <= most) }' || rc=1
	result $rc "$1" "got $2, expected $3 to $4"
}

# holds CIRCUIT ADDRESS KIND SIDE DELAY: 5 tests.
holds()
{
	local what="$3, circuit $1, $4" delay=$5 n least median true_n true_median
	local column apart=$MEDIAN_MS

	read -r n least median < <(of_samples "$4" "$1")
	read -r true_n _ true_median < <(of_oracle "$4" "$2")
	column=$(awk -v ns="${SHOWN[$1 $4]}" \
		'BEGIN { print ns / 1e6 }')
	note "$what: pping $n samples, least $least, p50 $median, column's p50" \
		"$column; reference $true_n samples, p50 $true_median ms"
	at_least "$what: samples" "$n" $ENOUGH
	between "$what: none is below the delay of $delay ms" "$least" \
		"$delay" 1000
	between "$what: their median is not much above" "$median" "$delay" \
		$((delay + LATE_MS))
	# A median of a few is any of them.
	[ "$true_n" -ge $ENOUGH ] || apart=$((2 * LATE_MS))
	between "$what: ... and the reference's of these packets" \
		"$(awk "BEGIN { print $median - $true_median }")" -$apart $apart
	# A bucket of the histogram is 4 % wide.
	between "$what: ... and what lqtop shows" "$(awk "BEGIN {
		print $column / ($median ? $median : 1) }")" 0.96 1.04
}

command -v tcpdump >/dev/null || skip_all "no tcpdump"
tc qdisc add dev lo root netem delay 1ms 2>/dev/null ||
	skip_all "this kernel has no netem"
tc qdisc del dev lo root
net_begin $((7 * 5 + 3))
lab_ini modules=steering,pping,lqtop window=600
daemon
hold "$LAB_NS_SUBS" eth0 $((ACCESS_MS / 2))
hold "$LAB_NS_SHAPER" subs $((ACCESS_MS / 2))
hold "$LAB_NS_INET" eth0 $((INTERNET_MS / 2))
hold "$LAB_NS_SHAPER" inet $((INTERNET_MS / 2))
rtt_server
run
while read -r circuit address kind sides; do
	for side in ${sides//,/ }; do
		delay=$ACCESS_MS
		[ "$side" = access ] || delay=$INTERNET_MS
		holds "$circuit" "$address" "$kind" "$side" "$delay"
	done
done < <(clients)
lab_stop
is "lqosd ends with status 0" $? 0
is "no report of a sanitizer" "$(sanitizer_reports)" ""
