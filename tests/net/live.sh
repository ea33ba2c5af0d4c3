#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who the subscribers are changes while lqosd runs: by their files, which are
# read when they change, with slips of the pen and all, and by hand, which
# outlives the daemon.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# logged DESCRIPTION REGEX: within 20 s.
logged()
{
	for _ in {1..200}; do
		! grep -Eq -- "$2" "$LAB_LOG" || break
		sleep 0.1
	done
	like "$1" "$(<"$LAB_LOG")" "$2"
}

# A new file at once, as an editor makes it, and a log of what follows.
replace()
{
	: >"$LAB_LOG"
	cat >"$1.new" && mv "$1.new" "$1"
}

# known ADDRESS KEY: what steering.list says of it.
known()
{
	ctl -j call steering.list | jq -r --arg ip "$1" --arg key "$2" \
		'[.[] | select(.ip == $ip) | .[$key]][0] // "nothing"'
}

mapped()
{
	ctl -j call steering.list | jq length
}

net_begin 42
CSV=$LAB_DIR/devices.csv
JSON=$LAB_DIR/network.json
cp "$NET_TOP/etc/ShapedDevices.csv" "$CSV"
cp "$NET_TOP/etc/network.json" "$JSON"
lab_ini "shaped_devices=$CSV" "network_json=$JSON"
daemon
BEFORE=$(mapped)
CLASS=$(known 100.64.1.1/32 class)

# ---- The files
# row ID IPV4 IPV6 DOWN
row()
{
	echo "$1,Customer $1,,,,,,,\"$2\",$3,1,1,$4,5,"
}

{ cat "$CSV" && row n1 "$LAB_UNKNOWN4" "" 50; } | replace "$CSV"
logged "a file that was replaced is read" \
	"subscriber files have changed: reading them again"
logged "... and what is new is there" "subscriber files read again"
is "the new one's circuit" "$(known "$LAB_UNKNOWN4/32" circuit_id)" n1
like "... has a class" "$(known "$LAB_UNKNOWN4/32" class)" '^[0-9a-f]+:[0-9a-f]+$'
check "... and its packets pass" lab_subs ping -q -n -c 2 -W 5 \
	-I "$LAB_UNKNOWN4" "$LAB_INET4"
is "all others are where they were" \
	"$(mapped) $(known 100.64.1.1/32 class)" "$((BEFORE + 1)) $CLASS"

{ echo '{' && echo ' "Site": }'; } | replace "$JSON"
logged "a broken file is named, with line and column" \
	"network.json:2:10: "
logged "... and changes nothing" "those there were stay; correct the file"
is "... indeed" "$(mapped) $(known 100.64.1.1/32 class)" "$((BEFORE + 1)) $CLASS"
replace "$JSON" <"$NET_TOP/etc/network.json"
logged "when it is whole again it is read" "subscriber files read again"

LINE=$(($(wc -l <"$CSV") + 1))
{
	cat "$CSV"
	row b1 192.0.2.300 "" 50
	row b2 192.0.2.1/24 "" 50
	row b3 "" ::ffff:192.0.2.9 50
	row b4 "" 2001:db8:b4:: 50
	row b5 192.0.2.5%200 "" 50
	row b6 192.0.2.6 "" much
	row b7 192.0.2.7,192.0.2.128/25 "" 50
	row b8 192.0.2.8,192.0.2.0/24 "" 50
	row b9 192.0.2.8 "" 50
	printf 'b10,a\0b,,,,,,,192.0.2.10,,1,1,50,5,\n'
	row b11 0.0.0.0/0 "" 50
} | replace "$CSV"
logged "rows that are wrong are counted" "of the files, 2[0-9] rows taken, \
5 left out"
like "... and addresses, where an operator looks" "$(ctl status)" \
	"; 5 of [0-9]+ rows were left out, 1 addresses were left out"
like "... and in the plan" "$(ctl steering plan | tr -d "\n")" \
	"nothing to change.*[0-9]+ problems in the files:.*devices.csv:$LINE:"
like "no address" "$(<"$LAB_LOG")" "devices.csv:$LINE:[0-9]+: row left out: \
IPv4: \"192.0.2.300\" is no address"
like "host bits" "$(<"$LAB_LOG")" "devices.csv:$((LINE + 1)):.*\"192.0.2.1/24\" \
has bits set after its length: expected 192.0.2.0/24"
like "IPv4 as IPv6" "$(<"$LAB_LOG")" "devices.csv:$((LINE + 2)):.*expected it \
as IPv4, like 192.0.2.9"
like "IPv6 without a length" "$(<"$LAB_LOG")" "devices.csv:$((LINE + 3)):.*\
without a length: expected it as in 2001:db8:b4::/56"
like "a VLAN where they are not told apart" "$(<"$LAB_LOG")" \
	"devices.csv:$((LINE + 4)):.*address_spaces = yes"
like "a rate that is none" "$(<"$LAB_LOG")" \
	"devices.csv:$((LINE + 5)):.*Download Max Mbps: \"much\": expected"
like "the same address twice" "$(<"$LAB_LOG")" "devices.csv:$((LINE + 8)):.*\
192.0.2.8 of circuit \"b9\" left out: circuit \"b8\" has it already"
like "NUL" "$(<"$LAB_LOG")" "devices.csv:$((LINE + 9)):1: this row has NUL"
like "ranges of different circuits in each other" "$(<"$LAB_LOG")" \
	"[0-9]+ addresses lie in those of another circuit"
is "everything for everybody is legal, the longest match counts" \
	"$(known 0.0.0.0/0 circuit_id) $(known 100.64.1.1/32 class)" "b11 $CLASS"
sed "s/^n1,.*$LAB_UNKNOWN4/&x/" "$CSV" | replace "$CSV"
logged "a slip of the pen is named" "\"${LAB_UNKNOWN4}x\" is no address"
is "... and its circuit stays as it was" \
	"$(known "$LAB_UNKNOWN4/32" circuit_id)" n1

# ---- The kernel's tables, by somebody else
: >"$LAB_LOG"
MAP=$(find "$LAB_PINS" -name dp_owners4)
check "a prefix is deleted behind our back" bpftool map delete pinned "$MAP" \
	key hex 40 00 00 00 00 00 00 00 64 40 01 01
like "... as the plan sees" "$(ctl steering plan)" "1 to mend in the kernel"
kill -HUP "$LAB_DAEMON"
logged "... and a reload mends" "1 prefixes were not as lqosd had put them"
like "... then all is well" "$(ctl steering plan)" "nothing to change"

# ---- By hand
check "add by hand" ctl steering add 203.0.113.0/28 circuit_id=hand \
	classid=1:fff0 cpu="$(ctl -j steering queues | jq '.[0].cpu')"
lab_stop KILL
daemon
is "after kill -9 it is back, where it was" \
	"$(known 203.0.113.0/28 circuit_id) $(known 203.0.113.0/28 class)" \
	"hand 1:fff0"
lab_stop
daemon
is "after a clean stop too" "$(known 203.0.113.0/28 circuit_id)" hand
check "del by hand" ctl steering del 203.0.113.0/28
lab_stop KILL
daemon
is "what was taken away stays away" "$(known 203.0.113.0/28 class)" nothing
OWNERS=$(lab_shaper bpftool -j map dump \
	pinned "$LAB_PINS/maps/datapath/dp_owners4" | jq length)

# ---- A start with a file that is none
cp "$CSV" "$LAB_DIR/before.csv"
for what in garbage nothing; do
	lab_stop KILL
	[ $what = garbage ] && head -c 300 /dev/urandom >"$CSV" || : >"$CSV"
	: >"$LAB_LOG"
	lab_start "$ROOT" 2>/dev/null
	is "$what for a file: no start" $? 1
	like "... and the log tells why" "$(<"$LAB_LOG")" \
		"devices.csv: (of [0-9]+ rows not one can be taken|there is no row in it)"
	is "... the run before goes on" "$(lab_shaper bpftool -j map dump \
		pinned "$LAB_PINS/maps/datapath/dp_owners4" | jq length)" \
		"$OWNERS"
	cp "$LAB_DIR/before.csv" "$CSV"
	daemon
done
lab_stop
is "no report of a sanitizer" "$(sanitizer_reports)" ""
