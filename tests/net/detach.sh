#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `lqosctl pins` tells what is pinned and attached, with a daemon and without;
# `lqosctl detach` removes what a daemon that was killed has left, puts back what
# it changed, and touches neither a living daemon nor what is somebody else's.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

xdp()
{
	ip -n "$LAB_NS_SHAPER" -d -j link show dev "$1" |
		jq -r '.[0].xdp.prog.id // "none"'
}

# local_ctl COMMAND...: lqosctl where the interfaces are.
local_ctl()
{
	lab_shaper "$ROOT/bin/lqosctl" -c "$LAB_INI" "$@"
}

pins()
{
	local_ctl -j pins | jq -r "$1"
}

# /sys shows the network namespace it was mounted in.
xps()
{
	ip netns exec "$LAB_NS_SHAPER" sh -c '
		cat /sys/class/net/subs/queues/tx-0/xps_cpus' 2>/dev/null
}

PATH=$PATH:/usr/sbin:/sbin
net_begin 52
ip netns exec "$LAB_NS_SHAPER" sh -c '
	echo 1 >/sys/class/net/subs/queues/tx-0/xps_cpus' 2>/dev/null
XPS_BEFORE=$(xps)
# Somebody else's clsact and filter have to stay.
lab_shaper tc qdisc add dev subs clsact
lab_shaper tc filter add dev subs ingress prio 7 bpf \
	bytecode '1,6 0 0 4294967295,'
lab_ini
is "before: nothing is pinned" "$(pins .run)" none
like "before: detach finds nothing" "$(local_ctl detach)" \
	"^nothing of lqosd's is in $LAB_PINS"
is "... and makes nothing" "$(ls -d "$LAB_PINS" "$LAB_DIR/run" 2>/dev/null)" ""

daemon
check "a mapping is made by hand, which lqosd may remember" \
	ctl call steering.add '{"ip": "203.0.113.7", "circuit": "by-hand"}'
is "pins: the daemon is found to live" "$(pins .run)" live
is "pins: with its pid" "$(pins .pid)" "$(ctl -j status | jq .pid)"
is "pins: XDP native on both" \
	"$(pins '[.attached[] | select(.hook == "xdp native") | .interface] |
		sort | join(" ")')" "inet subs"
is "pins: the ways out" \
	"$(pins '[.attached[] | select(.hook == "tcx egress") |
		.interface + ":" + .program] | sort | join(" ")')" \
	"inet:lq_to_inet subs:lq_to_subs"
is "pins: as many maps as files" "$(pins '.maps | length')" \
	"$(find "$LAB_PINS"/maps* -type f | wc -l)"
is "pins: a map with its module and size" \
	"$(pins '.maps[] | select(.map == "dp_owners4") |
		"\(.module) \(.type) \(.entries)"')" \
	"datapath lpm_trie 131072"
at_least "pins: memory" "$(pins .bytes)" 1000000
like "pins: for people" "$(local_ctl pins)" \
	"inet +xdp native +lq_from_inet +[0-9]+ +xdp_inet"
OUT=$(local_ctl detach 2>&1)
is "detach refuses while the daemon lives" $? 1
like "... and says who" "$OUT" "lqosd \(pid $(pins .pid)\) runs"
at_least "... and nothing has gone" "$(xdp inet)" 1

lab_stop KILL
check "somebody keeps a pin beside ours" bpftool map create \
	"$LAB_PINS/foreign" type array key 4 value 4 entries 1 name foreign
is "pins: after kill -9 it is left over" "$(pins .run)" left
like "... in words" "$(local_ctl pins)" "left over, no lqosd lives"
like "... and what is not ours is named" "$(local_ctl pins)" "$LAB_PINS/foreign"
OUT=$("$ROOT/bin/lqosctl" -c "$LAB_INI" detach 2>&1)
is "detach in another network namespace refuses" $? 1
like "... and says why" "$OUT" "another network namespace"
at_least "... and nothing has gone" "$(xdp inet)" 1
OUT=$(local_ctl detach 2>&1)
is "detach after kill -9" $? 0
like "... tells the links and maps" "$OUT" "removed [1-9][0-9]* links and [0-9]+"
like "... and what it put back" "$OUT" "put back as it was: inet, subs$"
for side in subs inet; do
	is "no XDP program on $side" "$(xdp $side)" none
	like "rx-vlan-offload of $side as before" \
		"$(lab_shaper ethtool -k $side)" "^rx-vlan-offload: on"
done
is "no clsact on inet" "$(lab_shaper tc qdisc show dev inet clsact)" ""
is "the clsact that was there stays, without filter of ours" \
	"$(lab_shaper tc filter show dev subs egress)" ""
like "... and its owner's filter" \
	"$(lab_shaper tc filter show dev subs ingress)" "pref 7 bpf"
is "XPS as before" "$(xps)" "$XPS_BEFORE"
is "only what is somebody else's is pinned" "$(ls "$LAB_PINS")" foreign
is "nothing in run_dir but the lock" "$(ls "$LAB_DIR/run")" lock
rm -f "$LAB_PINS/foreign"
check "detach again finds nothing" local_ctl detach

daemon
check "detach --force under a living daemon" local_ctl detach --force
is "... takes all off" "$(xdp subs) $(xdp inet)" "none none"
for ((i = 0; i < 50; i++)); do
	[ "$(ctl -j status | jq .attached)" = true ] || break
	sleep 0.1
done
is "... and the daemon, which still answers, knows" \
	"$(ctl -j status | jq -c '[.attached, .interfaces[].mode]')" \
	'[false,"detached","detached"]'
sleep 1.2
is "... and says so once of each interface" "$(grep -c "our XDP program was \
taken off by somebody: packets pass unshaped; restart lqosd" "$LAB_LOG")" 2
like "... and so does explain" \
	"$(ctl -j call steering.explain '{"ip":"100.64.1.1"}' | jq -r .why[])" \
	"inet carries none of our programs now"
check "... packets pass" lab_subs ping -q -n -c 2 -W 5 -I 100.64.1.1 \
	"$LAB_INET4"
lab_stop
is "... and it stops cleanly" $? 0
rmdir "$LAB_PINS" 2>/dev/null

# Where lqosd forwards by itself there is more to put back.
lab_down
# shellcheck disable=SC2034 # lab.sh's
LAB_TOPOLOGY=xdp
lab_up || bail "no lab"
lab_ini
daemon
is "bridge = xdp: pins show what forwards" \
	"$(pins '[.attached[] | select(.hook | endswith(" ingress")) |
		.interface + ":" + .program] | sort | join(" ")')" \
	"inet:lq_forward subs:lq_forward"
lab_stop KILL
check "bridge = xdp: killed, it forwards on" \
	lab_subs ping -q -n -c 2 -W 5 -I 100.64.1.1 "$LAB_INET4"
check "bridge = xdp: detach" local_ctl detach
is "... no XDP program" "$(xdp subs) $(xdp inet)" "none none"
is "... no clsact" "$(lab_shaper tc qdisc show | grep clsact)" ""
is "... no longer promiscuous" \
	"$(ip -n "$LAB_NS_SHAPER" link show | grep -c PROMISC)" 0
is "... nothing is pinned" "$(pins .run)" none
is "no sanitizer reports" "$(sanitizer_reports)" ""
