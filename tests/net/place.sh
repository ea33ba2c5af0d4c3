#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What steering.explain says is what packets do: a subscriber's, and those that
# are nobody's; and no packet goes to a CPU that is excluded.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

explain()
{
	ctl -j call steering.explain "{\"ip\":\"$1\"}"
}

# observed CPU: packets it has seen.
observed()
{
	ctl -j status | jq "[.counters.cpus[] | select(.cpu == $1) |
		.observed][0] // 0"
}

tries()
{
	ctl -j status | jq .counters.total.trie_lookups
}

# Always from the same CPU, and so with the same part of the cache.
pings()
{
	taskset -c "$CPU0" nsenter --net="/run/netns/$LAB_NS_SUBS" -- \
		ping -q -c 3 -i 0.05 -W 1 -I 100.64.1.3 "$LAB_INET4"
}

# goes_to NAME ADDRESS: packets of nobody's address reach the CPU that explain
# names.
goes_to()
{
	local cpu before

	cpu=$(explain "$2" | jq .cpu)
	before=$(observed "$cpu")
	flow "$1" "$2" -t 2 -b 3M -u
	flows_end 20
	at_least "$1: goes to CPU $cpu, as explained" \
		$(($(observed "$cpu") - before)) \
		"$(flow_json "$1" .end.sum_sent.packets)"
}

# A lab of another process may have CPUs of its own; two are enough for us.
mapfile -t ONLINE < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
	while IFS=- read -r from to; do seq "$from" "${to:-$from}"; done)
CPU0=${ONLINE[0]}
net_begin 37

lab_ini && daemon
make_htb
ANSWER=$(explain 100.64.4.33)
is "a subscriber: prefix and circuit" \
	"$(jq -r '[.prefix, .circuit_id, .name, .by_hand] | join(" ")' \
		<<<"$ANSWER")" "100.64.4.32/28 1014 Boat Club false"
is "... his class" "$(jq -r .class <<<"$ANSWER")" "$(planned 1014 class)"
is "... his CPU" "$(jq -r .cpu <<<"$ANSWER")" "$(planned 1014 cpu)"
is "... the kernel says the same" \
	"$(jq -c '[.kernel.circuit_id, .kernel.class, .kernel.cpu]' \
		<<<"$ANSWER")" "$(jq -c '[.circuit_id, .class, .cpu]' \
			<<<"$ANSWER")"
is "... his path" "$(jq -r '.path | join(" ")' <<<"$ANSWER")" \
	"$(jq -r 'to_entries[] | select(.value.children.AP_Harbour_1) |
		.key + " AP_Harbour_1"' "$NET_TOP/etc/network.json")"
like "... and why" "$(jq -r .why[] <<<"$ANSWER")" \
	"queue [0-9]+ was chosen for .* as the one that had sold least"
is "... and nothing is otherwise" "$(jq -r .why[] <<<"$ANSWER" |
	grep -c otherwise)" 0
like "nobody's: is said to be" "$(explain "$LAB_UNKNOWN4" | jq -r .why[])" \
	"no prefix of a subscriber holds it"
goes_to nobody4 "$LAB_UNKNOWN4"
goes_to nobody6 "$LAB_UNKNOWN6"
like "a range is refused" "$(explain 100.64.4.32/28 2>&1)" \
	"expected one address of it"

# What a reload would change, before and after it.
sed 's/^1014,\(.*\),80,40,/1014,\1,90,40,/; /^1007,/d' \
	"$NET_TOP/etc/ShapedDevices.csv" >"$LAB_DIR/changed.csv"
lab_stop
cp "$NET_TOP/etc/ShapedDevices.csv" "$LAB_DIR/devices.csv"
lab_ini shaped_devices="$LAB_DIR/devices.csv" && daemon
like "the plan of files that are as they were" "$(ctl steering plan)" \
	"files and kernel agree: nothing to change"
cp "$LAB_DIR/changed.csv" "$LAB_DIR/devices.csv"
PLAN=$(ctl -j steering plan)
is "the plan of others: how much" \
	"$(jq -c '[.add, .remove, .change, .drift]' <<<"$PLAN")" "[0,2,3,0]"
is "... and what" "$(jq -r '.changes[] | select(.circuit_id == "1014") |
	.details' <<<"$PLAN" | sort -u)" "download 80 to 90 Mbit/s"
kill -HUP "$LAB_DAEMON"
for ((i = 0; i < 50; i++)); do
	PLAN=$(ctl -j steering plan | jq -c '[.remove, .change, .drift]')
	[ "$PLAN" != "[0,0,0]" ] || break
	sleep 0.1
done
is "... which is done by a reload" "$PLAN" "[0,0,0]"

# A crash, other rates and one more: whoever was there stays where he was.
ctl -j steering tree >"$LAB_DIR/tree.json"
lab_stop KILL
{
	sed -E 's/^(10[0-9]{2}.*),[0-9.]+,[0-9.]+,[0-9.]+,[0-9.]+,/\1,1,1,7,7,/' \
		"$LAB_DIR/devices.csv"
	echo '1099,New,CPE-1099,Router,,,,,100.64.7.9,,1,1,900,9,'
} >"$LAB_DIR/changed.csv"
cp "$LAB_DIR/changed.csv" "$LAB_DIR/devices.csv"
daemon
is "other rates after a crash: all rates are others" \
	"$(ctl -j steering tree | jq -c '[.circuits[].down_max] | unique')" \
	"[7000000,900000000]"
is "... every circuit keeps class and CPU" "$(ctl -j steering tree |
	jq -c '[.circuits[] | select(.circuit_id != "1099") |
		[.circuit_id, .class, .parent, .cpu]] | sort')" \
	"$(jq -c '[.circuits[] | [.circuit_id, .class, .parent, .cpu]] |
		sort' "$LAB_DIR/tree.json")"
is "... and every node" \
	"$(ctl -j steering tree | jq -c '[.nodes[] | [.name, .class]]')" \
	"$(jq -c '[.nodes[] | [.name, .class]]' "$LAB_DIR/tree.json")"
like "... which the log says" "$(cat "$LAB_LOG")" \
	"8 nodes and 19 circuits keep the classes"

check "pings to warm up" pings
BEFORE=$(tries)
check "pings that are in the cache" pings
is "... need no look-up in the trie" "$(tries)" "$BEFORE"
check "the cache is flushed" ctl call steering.flush
check "pings after that" pings
at_least "... are looked up again" "$(tries)" $((BEFORE + 1))
lab_stop

if [ ${#ONLINE[@]} -lt 2 ]; then
	for name in setting number queues others received; do
		skip "excluded: $name" "one CPU"
	done
else
	lab_ini exclude_cpus="$CPU0" && daemon
	WHY=$(explain 100.64.4.33 | jq -r .why[])
	like "excluded: explain names what excludes it" "$WHY" \
		"queue [0-9]+ belongs to CPU [0-9]+, as queues take .*CPU \
$CPU0 is excluded by exclude_cpus"
	like "... and why there are so many queues" "$WHY" \
		"there (is|are) [0-9]+ queues?: the least of [0-9]+ CPUs?.*inet"
	is "excluded: no queue is on CPU $CPU0" "$(ctl -j call steering.queues |
		jq "[.[] | select(.cpu == $CPU0)] | length")" 0
	flow tcp 100.64.1.3 -t 2 -b 5M -R
	flow nobody "$LAB_UNKNOWN4" -t 2 -b 3M
	flows_end 20
	is "excluded: it sees no packet" "$(observed "$CPU0")" 0
	at_least "excluded: others do" "$(ctl -j status |
		jq '.counters.total.observed')" 1000
	lab_stop
fi
# Too few transmit queues: what lqosd advises works.
if [ ${#ONLINE[@]} -gt 1 ] &&
	lab_shaper ethtool -L inet tx 1 2>/dev/null; then
	lab_ini && daemon
	ADVICE=$(sed -n 's/.*inet has 1 transmit queues .*`\(ethtool .*\)`.*/\1/p' \
		"$LAB_LOG")
	like "one transmit queue: the log advises" "$ADVICE" \
		"^ethtool -L inet (combined|rx [0-9]+ tx) [0-9]+$"
	WHY=$(explain 100.64.4.33 | jq -r .why[])
	like "... explain says that it is the reason" "$WHY" \
		"there is 1 queue: .* 1 transmit queue of inet"
	like "... and that there was no choice" "$WHY" \
		"queue 1 was chosen for .* as the only one"
	lab_stop
	# shellcheck disable=SC2086 # words
	check "... and the advice works" lab_shaper $ADVICE
	check "... so that there are more queues" test \
		"$(lab_shaper ethtool -l inet |
			awk '/^TX:/ { n = $2 } END { print n }')" -gt 1
else
	for name in advice reason choice works more; do
		skip "one transmit queue: $name" "one CPU, or no ethtool -L"
	done
fi
is "no report of a sanitizer" "$(sanitizer_reports)" ""
