#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `lqosctl doctor` on real interfaces: what is broken here is found, and the
# very command that it prints mends it.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# examine [ARGUMENT...]: into LAB_DIR/doctor.json; its status.
examine()
{
	lab_shaper "$ROOT/bin/lqosctl" -c "$LAB_INI" -j "$@" doctor \
		>"$LAB_DIR/doctor.json"
}

# finding CHECK [INTERFACE] FILTER
finding()
{
	jq -r --arg check "$1" --arg interface "${3:+$2}" "
		.checks[] | select(.check == \$check and
			(.interface // \"\") == \$interface) | ${3:-$2}" \
		"$LAB_DIR/doctor.json"
}

# Whatever a check's command needs of /sys is of the shaper's namespace there.
type_it()
{
	ip netns exec "$LAB_NS_SHAPER" bash -c "$1"
}

# mends LEVEL CHECK INTERFACE TEXT: is found so, and what is printed mends it.
mends()
{
	local command

	examine
	is "$3 $2: $1" "$(finding "$2" "$3" .level)" "$1"
	like "... in words" "$(finding "$2" "$3" .text)" "$4"
	command=$(finding "$2" "$3" '.commands[0]')
	check "... $command" type_it "$command"
	examine
	is "... mends it" "$(finding "$2" "$3" .level)" ok
}

PATH=$PATH:/usr/sbin:/sbin
net_begin 76
lab_ini

# ---- Before lqosd runs
examine
is "a machine where all is well: status 0" $? 0
is "... nothing is wrong" "$(jq .failed "$LAB_DIR/doctor.json")" 0
is "no lqosd: said" "$(finding daemon .level)" warn
is "this kernel can do all" "$(finding kernel .level)" ok
is "BPF is compiled" "$(finding jit .level)" ok
lab_shaper ip link set dev inet down
mends FAIL interface inet "it is down"
lab_shaper ip link set dev subs nomaster
mends FAIL bridge subs "inet is in br0 and this is in none"
lab_shaper ip link set dev br0 down
mends FAIL bridge inet "its bridge br0 is down"
lab_shaper ip link set dev subs mtu 1600
mends warn mtu inet "1500, but subs has 1600"
lab_shaper ethtool -K inet gro off
mends warn offloads inet "generic-receive-offload is off"
coproc FOREIGN { lab_shaper "$NET_HERE/foreign.py" subs; }
read -r ID <&"${FOREIGN[0]}"
mends FAIL xdp subs "somebody else's program \(foreign, id $ID\)"
lab_shaper bpftool net attach xdpgeneric id "$ID" dev subs
IN=${FOREIGN[1]}
exec {IN}>&-
wait "$FOREIGN_PID"
mends FAIL xdp subs "somebody else's program \(foreign, id $ID\)"
lab_ini tc_mode=clsact
lab_shaper tc qdisc add dev subs ingress
mends FAIL filter subs "ingress qdisc"
lab_ini
if [ "$(lab_cpus)" -gt 1 ] &&
	lab_shaper ethtool -L inet rx 1 tx 1 2>/dev/null; then
	mends warn queues inet "1 queues for"
else
	for i in 1 2 3 4; do
		skip "inet queues $i" "there is one CPU, or no ethtool -L"
	done
fi
lab_shaper ip link set dev br0 type bridge vlan_filtering 1 2>/dev/null
if [ "$(lab_shaper ip -d -j link show dev br0 |
	jq '.[0].linkinfo.info_data.vlan_filtering')" = 1 ]; then
	mends warn bridge inet "br0 filters VLANs"
else
	for i in 1 2 3 4; do
		skip "VLAN filtering $i" "this kernel has none"
	done
fi
examine -i inet,nosuch
is "an interface that is not there: status 1" $? 1
like "... in words" "$(finding interface nosuch .text)" "none of that name"
sed 's/^log_level/bogus = 1\n&/; s/^#log_level/bogus = 1\n&/' "$LAB_INI" \
	>"$LAB_DIR/bad.ini"
lab_shaper "$ROOT/bin/lqosctl" -c "$LAB_DIR/bad.ini" -j doctor \
	>"$LAB_DIR/doctor.json"
is "a broken configuration: status 1" $? 1
like "... is found, with its line" "$(finding config .text)" "bad.ini:[0-9]+: "
OUT=$(setpriv --reuid 65534 --clear-groups "$ROOT/bin/lqosctl" -c "$LAB_INI" \
	-i lo doctor 2>&1)
like "not root: said, and the rest is looked at" "$OUT" "rights: not root"

# ---- With lqosd
daemon
flow down 100.64.1.3 -t 20 -u -b 2M -R
flow up 100.64.4.3 -t 20 -u -b 2M
settle
examine
is "with lqosd: status 0" $? 0
is "with lqosd: it answers" "$(finding daemon .level)" ok
is "with lqosd: 20 subscribers" "$(finding subscribers .text)" 20
is "with lqosd: native" "$(finding xdp inet .text)" native
for side in inet subs; do
	like "$side: the direction is right" "$(finding direction $side .text)" \
		"of ([0-9]+) packets of subscribers, \1 arrive on the right"
done
is "no HTB classes: said" "$(finding tree subs .level)" warn
make_htb
examine
is "... and with them it is fine" "$(finding tree subs .level)" ok
if type_it 'echo 1 >/sys/class/net/subs/queues/tx-0/xps_cpus' 2>/dev/null; then
	mends FAIL xps subs "set it again"
else
	for i in 1 2 3 4; do
		skip "XPS $i" "this kernel has no XPS to set"
	done
fi
type_it 'ethtool -K subs rxvlan on' 2>/dev/null
mends FAIL offloads subs "lose them"
lab_ini to_internet=subs to_subscribers=inet
cp "$LAB_INI" "$LAB_DIR/before.ini"
examine
is "exchanged in the file: status 1" $? 1
like "... is found by the traffic" "$(finding direction subs .text)" \
	"are sent by them: the two sides are exchanged"
is "... on both" "$(finding direction inet .level)" FAIL
check "... $(finding direction subs '.commands[0]')" \
	type_it "$(finding direction subs '.commands[0]')"
examine
is "... mends it" "$(finding direction subs .level)" ok
flows_end 30
OUT=$(bpftool -j link show pinned "$LAB_PINS/links/out_subs" | jq .id)
rm "$LAB_PINS/links/out_subs" # or lqosd would attach it again
bpftool link detach id "$OUT"
examine
like "its way out is taken off: found" "$(finding filter subs .text)" \
	"egress is gone"
lab_stop KILL
examine
like "killed: what it left is named" "$(finding daemon .text)" \
	"what a dead one left is attached"
like "for people: the bottom line" \
	"$(lab_shaper "$ROOT/bin/lqosctl" -c "$LAB_INI" doctor | tail -n 1)" \
	"could be better, [0-9]+ fine"
is "no sanitizer reports" "$(sanitizer_reports)" ""
