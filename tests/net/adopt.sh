#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a killed run counted goes on in the next: maps whose layout fits are
# taken over with what is in them, circuits keep their slots, and what does not
# fit is discarded and named.  A start that fails leaves the earlier run's
# datapath whole.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

UDP=100.64.4.3 # circuit 1014
CSV=
SENT=0

# The daemon again, with a log of its own.
# shellcheck disable=SC2120
again()
{
	: >"$LAB_LOG"
	daemon "$@"
}

die()
{
	lab_stop KILL
}

# How often the log has it.
said()
{
	grep -c -- "$1" "$LAB_LOG"
}

received()
{
	ctl -j status | jq .counters.total.received
}

slots()
{
	local slot

	for ((slot = 1; slot <= 24; slot++)); do
		ctl -j call core.subscriber "{\"slot\": $slot}" 2>/dev/null |
			jq -r '"\(.circuit_id)=\(.slot)"'
	done | sort
}

# Uploads of 1014, counted: about 250 kB.
upload()
{
	flow udp $UDP -n 250000 -u -l 500 -b 8M
	flows_end 15
	SENT=$((SENT + $(flow_bytes udp up)))
	settle
	take_frame
}

counted()
{
	cell 1014 throughput.up.bytes
}

rate()
{
	jq -r --arg column throughput.up.bytes '
	.data.subscribers as $s |
	($s.columns | map(.name) | index($column)) as $i |
	[$s.rows[] | select(.circuit_id == "1014") | .rates[$i]][0] // 0' \
		"$LAB_DIR/frame.json"
}

class_grows()
{
	local before

	before=$(class_bytes inet "$CLASS")
	flow udp $UDP -n 250000 -u -l 500 -b 8M
	flows_end 15
	SENT=$((SENT + $(flow_bytes udp up)))
	at_least "$1" "$(class_bytes inet "$CLASS")" $((before + 200000))
}

pin()
{
	echo "$LAB_PINS/maps/$1"
}

net_begin 55
PATH=$PATH:/usr/sbin:/sbin
CSV=$LAB_DIR/ShapedDevices.csv
cp "$LAB_HERE/ShapedDevices.csv" "$CSV"
lab_ini shaped_devices="$CSV"
daemon
make_htb
CLASS=$(planned 1014 class)
upload
near "a run counts what is sent" "$(counted)" "$SENT" 30
BEFORE=$(received)
SLOTS=$(slots)
at_least "its subscribers have slots" "$(wc -l <<<"$SLOTS")" 14
is "nothing was taken over" "$(said 'of the earlier run')" 0

# ---- Killed
die
again
is "killed: the next start says how many maps it took over" \
	"$(said '[1-9][0-9]* maps of the earlier run taken over .* 0 discarded')" 1
at_least "... and so does its status" \
	"$(ctl -j status | jq .earlier_maps.taken_over)" 5
at_least "its counters go on" "$(received)" "$BEFORE"
is "all have the slot they had" "$(slots)" "$SLOTS"
settle
upload
near "what a subscriber has sent goes on" "$(counted)" "$SENT" 30
at_least "and the sum of all" "$(global throughput.up.bytes)" "$SENT"
check "no rate is of what the earlier run counted" \
	test "$(rate | cut -d. -f1)" -lt 600000

# ---- Killed while nobody looked; other subscribers come back
die
class_grows "nobody runs: still into its class"
{
	head -n 1 "$LAB_HERE/ShapedDevices.csv"
	grep -v '^Circuit ID\|^1002,\|^#' "$LAB_HERE/ShapedDevices.csv" | tac
	echo 'new,new,,,,,,,100.64.9.9,,1,1,5,5,'
} >"$CSV"
again
is "another file: who stayed has the slot he had" \
	"$(comm -12 <(slots) <(echo "$SLOTS") | wc -l)" \
	"$(($(wc -l <<<"$SLOTS") - 1))"
is "who went is gone" "$(slots | grep -c '^1002=')" 0
upload
near "what was sent while nobody ran is counted" "$(counted)" "$SENT" 30
lab_subs ping -q -n -c 3 -i 0.2 -I 100.64.1.3 "$LAB_INET4" >/dev/null
settle
take_frame
OLD=$(cell 1003 throughput.up.icmp.packets)
is "pings are counted" "$OLD" 3

# ---- A slot that has a new owner
sed -i '/^1003,/d' "$CSV"
kill -HUP "$LAB_DAEMON"
for ((i = 0; i < 50; i++)); do
	slots | grep -q '^1003=' || break
	sleep 0.1
done
die
SLOT=$(sed -n 's/^1003=//p' <<<"$SLOTS")
is "the record of who went is empty" \
	"$(bpftool -j map lookup pinned "$(pin datapath/dp_circuits)" \
		key hex "$(printf '%02x' "$SLOT")" 00 00 00 |
		jq -r '.value | unique | join(" ")')" 0x00
again
i=0
for address in 100.64.1.2 100.64.1.3 100.64.1.103; do
	i=$((i + 1))
	ctl call steering.add "{\"ip\": \"$address\",
		\"circuit_id\": \"x$i\"}" >/dev/null
	slots | grep -q "^x$i=$SLOT\$" && break
done
cp "$LAB_HERE/ShapedDevices.csv" "$CSV"
is "a new circuit has the slot" "$(slots | grep -c "^x$i=$SLOT\$")" 1
lab_subs ping -q -n -c 2 -i 0.2 -I "$address" "$LAB_INET4" >/dev/null
settle
take_frame
is "and begins at 0" "$(cell "x$i" throughput.up.icmp.packets)" 2

# ---- SIGQUIT
lab_stop QUIT
is "SIGQUIT: status 0" $? 0
is "SIGQUIT: it says that all stays" "$(said 'stays attached')" 1
check "SIGQUIT: the pins are there" test -e "$(pin datapath/dp_circuits)"
class_grows "SIGQUIT: still into its class"
again
is "SIGQUIT: the next start takes over" \
	"$(said 'took over the XDP link')" 2
upload
near "SIGQUIT: and counts on" "$(counted)" "$SENT" 30

# ---- Killed between two renames
die
mkdir "$LAB_PINS/maps_new"
mv "$LAB_PINS/maps" "$LAB_PINS/maps_old"
again
upload
near "killed while it published: the next counts on" "$(counted)" "$SENT" 30
is "... and tidies up" "$(find "$LAB_PINS" -mindepth 1 -maxdepth 1 -printf "%f\n" | sort | xargs)" "links maps"

# ---- Fewer modules
die
again -m throughput,lqtop
is "without steering: its maps are discarded" \
	"$(said 'maps of module steering are discarded')" 1
upload
near "... and the counts of others go on" "$(counted)" "$SENT" 30

# ---- Other people's pins, in place of ours
die
rm "$(pin datapath/dp_counters)" "$(pin throughput/tp_totals)" \
	"$(pin throughput/tp_evicted)"
bpftool map create "$(pin datapath/dp_counters)" type hash key 4 value 8 \
	entries 3 name foreign
bpftool prog pin name lq_observe "$(pin throughput/tp_totals)" 2>/dev/null ||
	bpftool prog pin id "$(bpftool -j prog show |
		jq '[.[] | select(.name == "lq_observe")][0].id')" \
		"$(pin throughput/tp_totals)"
mkdir "$(pin throughput/tp_evicted)"
again
is "a foreign map is discarded" \
	"$(said 'dp_counters .* discarded: it is a map of type hash, now array')" 1
is "a program in a map's place is discarded" \
	"$(said 'tp_totals .* discarded: it is no map')" 1
is "a directory in a map's place is discarded" \
	"$(said 'tp_evicted .* discarded: it cannot be opened')" 1
is "three are discarded" "$(said ', 3 discarded')" 1
upload
near "the others are taken over" "$(counted)" "$SENT" 30

# ---- Another size
die
lab_ini shaped_devices="$CSV" max_prefixes=1000
again
is "fewer prefixes: the tries are discarded" \
	"$(said 'dp_owners[46] .* it has 131072 entries, now 1000')" 2
class_grows "... and made anew"
die
lab_ini shaped_devices="$CSV" max_prefixes=1000 max_subscribers=500
again
is "fewer subscribers: nothing is taken over" \
	"$(said 'it has 65537 entries, now 501.*none of its maps')" 1
is "... and the links are" "$(said 'took over the XDP link')" 2
SENT=0
upload
near "counters begin at 0" "$(counted)" "$SENT" 30
class_grows "and traffic goes into its class"

# ---- A start that fails
die
MAPS=$(find "$LAB_PINS/maps" | sort)
lab_ini shaped_devices="$CSV" max_prefixes=1000 max_subscribers=500
lab_start "$ROOT" -m steering,throughput,nobody 2>/dev/null
is "a module that is not there: no start" $? 1
is "... and the pins are as they were" "$(find "$LAB_PINS/maps" | sort)" \
	"$MAPS"
class_grows "... and traffic goes into its class"
lab_ini shaped_devices="$CSV" max_prefixes=1000 max_subscribers=500 \
	tc_mode=clsact
lab_shaper tc qdisc add dev subs clsact
lab_shaper tc filter add dev subs egress prio 19537 protocol all u32 \
	match u32 0 0
: >"$LAB_LOG"
lab_start "$ROOT" 2>/dev/null
is "somebody has our filter's place: no start" $? 1
is "... and it says what stays" "$(said 'stays attached')" 1
class_grows "... and traffic goes into its class"
lab_shaper tc qdisc del dev subs clsact
again
is "out of the way: the next start takes over" \
	"$(said 'took over the XDP link')" 2
upload
near "nothing was missed" "$(counted)" "$SENT" 30
lab_stop
is "a clean stop ends with status 0" $? 0
check "and leaves no pins" test ! -e "$LAB_PINS"

# ---- In another network namespace: there the numbers are others' interfaces
has_xdp()
{
	ip -n "$1" -d -j link show |
		jq '[.[] | select(.xdp) | .ifname] | sort | join(" ")' -r
}

again
die
OTHER=$LAB_NS_SWITCH # lab_down removes it
ip netns add "$OTHER"
for side in subs inet; do
	ip -n "$OTHER" link add $side index "$(ip -n "$LAB_NS_SHAPER" -j link \
		show dev $side | jq '.[0].ifindex')" type veth \
		peer name other_$side netns "$LAB_NS_SUBS"
done
: >"$LAB_LOG"
SHAPER=$LAB_NS_SHAPER
LAB_NS_SHAPER=$OTHER
lab_start "$ROOT"
is "in another network namespace: a start" $? 0
LAB_NS_SHAPER=$SHAPER
is "... is attached there" "$(has_xdp "$OTHER")" \
	"inet subs"
is "... and no longer in the first" "$(has_xdp "$LAB_NS_SHAPER")" ""
lab_stop
is "... a clean stop: status 0" $? 0
is "no sanitizer reports" "$(sanitizer_reports)" ""
