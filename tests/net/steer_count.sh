#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every byte of a subscriber is counted as his, passes his class on both
# interfaces and his CPU, and nobody else's; hosts that are nobody's stay so.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Flow, circuit, address, directions, what iperf3 is to do.
FLOWS="
tcp_down	1003	100.64.1.3		down	-b 20M -R
tcp_up6		1016	2001:db8:1016::1	up	-b 15M
udp_down6	1005	2001:db8:1005::1	down	-b 10M -u -R
udp_up_prefix	1014	100.64.4.33		up	-b 10M -u
tcp_both6	1020	2001:db8:1020:100::1	down:up	-b 10M --bidir
udp_second	1006	100.64.2.12		down:up	-b 5M -u --bidir
"
flows()
{
	grep -v '^$' <<<"$FLOWS"
}

count_of()
{
	jq "[.counters.cpus[] | select(.cpu == $1) | .observed][0]" "$2"
}

# Packets, both ways, of all circuits that are planned for a CPU.
packets_for()
{
	local circuit sum=0

	for circuit in $(jq -r --argjson cpu "$1" '.circuits[] |
		select(.cpu == $cpu) | .circuit_id' "$LAB_DIR/tree.json"); do
		sum=$((sum + $(cell "$circuit" throughput.down.packets) + \
			$(cell "$circuit" throughput.up.packets)))
	done
	echo $sum
}

# Of unknown hosts, in either direction.
unknown_bytes()
{
	ctl -j call throughput.unknown | jq "[.[] |
		select(.ip == \"$1\") | .$2_bytes][0] // 0"
}

run()
{
	local name circuit address ways arguments before_subs before_inet

	lab_ini && daemon
	make_htb
	ctl -j status >"$LAB_DIR/before.json"
	before_subs=$(sent_by subs)
	before_inet=$(sent_by inet)
	while read -r name circuit address ways arguments; do
		# shellcheck disable=SC2086
		flow "$name" "$address" -t 6 $arguments
	done < <(flows)
	flow unknown_down "$LAB_UNKNOWN4" -t 6 -b 5M -R
	flow unknown_up6 "$LAB_UNKNOWN6" -t 6 -b 4M -u
	flows_end 30
	settle
	take_frame
	ctl -j status >"$LAB_DIR/after.json"
	SENT_UP=$(($(sent_by subs) - before_subs))
	SENT_DOWN=$(($(sent_by inet) - before_inet))
}

# Bytes counted against iperf3's account, and the class against the count.
check_flow()
{
	local name=$1 circuit=$2 way class got side

	class=$(planned "$circuit" class)
	for way in ${3//:/ }; do
		side=subs
		[ "$way" = down ] || side=inet
		got=$(cell "$circuit" "throughput.$way.bytes")
		near "$name: circuit $circuit, $way, as iperf3 counts it" \
			"$got" "$(flow_bytes "$name" "$way")"
		near "$name: all in class $class of $side" \
			"$(class_bytes $side "$class")" "$got" 2
		is "$name: nothing dropped in class $class of $side" \
			"$(class_drops $side "$class")" 0
	done
	# Answers and acknowledgements: the same class on the other side.
	case $3 in
	down) way=up side=inet ;;
	up) way=down side=subs ;;
	*) return ;;
	esac
	near "$name: what comes back in class $class of $side" \
		"$(class_bytes $side "$class")" \
		"$(cell "$circuit" "throughput.$way.bytes")" 2
}

# queue_bytes SIDE QUEUE: what a transmit queue has sent.
queue_bytes()
{
	lab_shaper tc -s class show dev "$1" | awk -v class="7fff:$2" '
		/^class/ { mine = $2 == "mq" && $3 == class }
		mine && $1 == "Sent" { print $2 }'
}

check_sides()
{
	local side way queue default

	for side in "subs down" "inet up"; do
		way=${side#* }
		side=${side% *}
		default=0
		for queue in "${QUEUES[@]}"; do
			default=$((default + $(class_bytes "$side" "$queue:2")))
			near "queue $queue of $side carries its tree, no other" \
				"$(queue_bytes "$side" "$queue")" \
				"$(class_bytes "$side" "$queue:1")" 2
		done
		# ARP goes there too.
		near "default classes of $side have only what is nobody's" \
			"$default" "$(cell "" "throughput.$way.bytes")" 20
	done
}

check_cpus()
{
	local cpu seen unknown

	unknown=$(($(cell "" throughput.down.packets) + \
		$(cell "" throughput.up.packets)))
	for cpu in $(jq '.queues[].cpu' "$LAB_DIR/tree.json"); do
		seen=$(($(count_of "$cpu" "$LAB_DIR/after.json") - \
			$(count_of "$cpu" "$LAB_DIR/before.json")))
		at_least "CPU $cpu sees all packets that are planned for it" \
			"$seen" "$(packets_for "$cpu")"
		at_least "... and of others only what is nobody's" \
			$(($(packets_for "$cpu") + unknown)) "$seen"
	done
}

CPUS=$(lab_cpus)
net_begin $((41 + 4 * CPUS))
run
mapfile -t QUEUES < <(jq -r '.queues[].queue' "$LAB_DIR/tree.json" |
	while read -r queue; do printf '%x\n' "$queue"; done)
is "a queue for each CPU" "${#QUEUES[@]}" "$CPUS"
while read -r name circuit address ways arguments; do
	check_flow "$name" "$circuit" "$ways"
done < <(flows)
check_sides
check_cpus
near "total down, against the internet's interface" \
	"$(global throughput.down.bytes)" "$SENT_DOWN"
near "total up, against the subscribers' interface" \
	"$(global throughput.up.bytes)" "$SENT_UP"
for way in down up; do
	is "total $way is the sum of all rows" \
		"$(global throughput.$way.bytes)" \
		"$(jq "(.data.subscribers.columns | map(.name) |
			index(\"throughput.$way.bytes\")) as \$i |
			[.data.subscribers.rows[].values[\$i]] | add" \
			"$LAB_DIR/frame.json")"
done
near "the unknown host's download is told" \
	"$(unknown_bytes "$LAB_UNKNOWN4" down)" \
	"$(flow_bytes unknown_down down)"
near "the unknown host's upload is told" \
	"$(unknown_bytes "$LAB_UNKNOWN6" up)" "$(flow_bytes unknown_up6 up)"
is "no subscriber but those with traffic has a byte" \
	"$(jq -r '(.data.subscribers.columns | map(.name) |
		index("throughput.up.bytes")) as $i |
		[.data.subscribers.rows[] | select(.values[$i] > 0) |
		.circuit_id | select(. != "")] | sort | join(" ")' \
		"$LAB_DIR/frame.json")" \
	"$(flows | awk '{ print $2 }' | sort | xargs)"
lab_stop
is "lqosd ends with status 0" $? 0
is "no report of a sanitizer" "$(sanitizer_reports)" ""
