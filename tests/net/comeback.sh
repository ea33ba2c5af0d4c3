#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Two pairs of interfaces, each a wire of lqosd's own.  One interface is taken
# away, made anew, and renamed, also while lqosd is dead: its pair works again
# as soon as it can, and the other pair loses nothing.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A second pair, wire.2 and wire_2, between namespaces that have a pair already.
second_pair()
{
	local port ns net

	# Its neighbours are its own.
	for ns in "$LAB_NS_SUBS" "$LAB_NS_INET"; do
		nsenter --net="/run/netns/$ns" -- sysctl -qw \
			net.ipv4.conf.all.arp_ignore=1 \
			net.ipv4.conf.all.arp_announce=2
	done
	for port in wire.2 wire_2; do
		ns=$LAB_NS_SUBS net=100.64.4.3/32
		[ $port = wire.2 ] || ns=$LAB_NS_INET net=203.0.113.1/24
		ip -n "$LAB_NS_SHAPER" link add $port type veth peer name eth1 \
			netns "$ns" || return
		nsenter --net="/run/netns/$ns" -- \
			ethtool -K eth1 tx off tso off gso off >/dev/null
		ip -n "$LAB_NS_SHAPER" link set $port up
		ip -n "$ns" address add $net dev eth1
		ip -n "$ns" link set eth1 up
	done
	ip -n "$LAB_NS_SUBS" address del 100.64.4.3/32 dev eth0
	ip -n "$LAB_NS_SUBS" route add 203.0.113.0/24 dev eth1
	ip -n "$LAB_NS_INET" route add 100.64.4.0/24 dev eth1
}

# The first pair's subscribers' side, and its other end.
make_subs()
{
	# The lab's bridge takes it, too: that must not matter.
	lab_side subs "$LAB_NS_SUBS" 198.51.100.0/24 2001:db8:ffff::/64 \
		<<<"100.64.1.1/32" 2>/dev/null
	ip -n "$LAB_NS_SHAPER" link show subs >/dev/null
}

ping_first()
{
	lab_subs ping -q -n -c 1 -W 1 -I 100.64.1.1 "$LAB_INET4"
}

ping_second()
{
	lab_subs ping -q -n -c 1 -W 1 -I 100.64.4.3 203.0.113.1
}

# soon COMMAND...: within some seconds it succeeds.
soon()
{
	local i

	for ((i = 0; i < 20; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.3
	done
	"$@"
}

mode()
{
	ctl -j status | jq -r --arg name "$1" \
		'.interfaces[] | select(.name == $name) | .mode'
}

is_mode()
{
	[ "$(mode "$1")" = "$2" ]
}

said()
{
	grep -qE "$1" "$LAB_LOG"
}

xdp_links()
{
	(cd "$LAB_PINS/links" && echo xdp_*)
}

# All four interfaces' programs of all three kinds.
all_attached()
{
	[ "$(lab_shaper "$ROOT/bin/lqosctl" -c "$LAB_INI" -j pins | jq \
		'[.attached[] | select(.interface != "-")] | length')" = 12 ]
}

# Packets received by an interface, as lqtop shows it.
received()
{
	take_frame
	jq -r --arg name "$1" '.data.interfaces |
		(.columns | map(.name) | index("core.rx.packets")) as $i |
		.rows[] | select(.name == $name) | .values[$i]' \
		"$LAB_DIR/frame.json"
}

net_begin 41
for side in subs inet; do
	ip -n "$LAB_NS_SHAPER" link set $side nomaster
done
second_pair || bail "no second pair"
lab_ini bridge=xdp to_internet=inet,wire_2 to_subscribers=subs,wire.2
daemon
is "pairs belong together as they are listed" \
	"$(ctl -j status | jq -c '[.interfaces[] | [.name, .pair]]')" \
	'[["inet",0],["subs",0],["wire_2",1],["wire.2",1]]'
check "the first pair pings" soon ping_first
check "the second pair pings" soon ping_second
nsenter --net="/run/netns/$LAB_NS_SUBS" -- ping -q -n -i 0.02 \
	-I 100.64.4.3 203.0.113.1 >"$LAB_DIR/stream" 2>&1 &
STREAM=$!

ip -n "$LAB_NS_SHAPER" link del subs
check "subs is taken away: status tells" soon is_mode subs gone
check "... and the log" said "subs is gone: nothing of it"
is "... the others are as they were" "$(mode inet) $(mode wire.2)" \
	"native native"
make_subs || bail "no new interface"
check "subs is there again: it is attached by itself" soon is_mode subs native
check "... the log tells" said "subs is back, and attached again"
check "... and the first pair pings" soon ping_first
settle
at_least "... what it receives is counted" "$(received subs)" 1
is "... it is promiscuous as the first one was" \
	"$(ip -n "$LAB_NS_SHAPER" -j link show dev subs |
		jq '.[0].flags | index("PROMISC") != null')" true

rename()
{
	ip -n "$LAB_NS_SHAPER" link set "$1" down
	ip -n "$LAB_NS_SHAPER" link set "$1" name "$2"
	ip -n "$LAB_NS_SHAPER" link set "$2" up
}

rename subs customers
check "subs is renamed: status tells" soon is_mode customers native
check "... and the log" said "subs is called customers now"
is "... and the pin" "$(xdp_links)" \
	"xdp_customers xdp_inet xdp_wire:2 xdp_wire_2"
check "... the first pair pings" soon ping_first
ip -n "$LAB_NS_SHAPER" link add subs type veth peer name other
settle
is "another of the old name is none of ours" \
	"$(ctl -j status | jq -c '[.interfaces[].name]')" \
	'["inet","customers","wire_2","wire.2"]'
ip -n "$LAB_NS_SHAPER" link del subs
: >"$LAB_LOG"
rename customers subs
check "the old name again: the log tells" soon \
	said "subs now, and goes on as such, as it is configured"
is "... and asks for nothing" "$(grep -c 'change lqos.ini' "$LAB_LOG")" 0
rename subs customers
check "renamed once more" soon is_mode customers native

lab_stop KILL
check "kill -9: both pairs ping" soon ping_first
rename customers subs
: >"$LAB_LOG"
daemon
is "renamed while lqosd was dead: all links are taken over" \
	"$(grep -c 'took over the XDP link' "$LAB_LOG")" 4
check "... the first pair pings" soon ping_first
is "... the pins have today's names" "$(xdp_links)" \
	"xdp_inet xdp_subs xdp_wire:2 xdp_wire_2"

lab_stop KILL
ip -n "$LAB_NS_SHAPER" link del subs
make_subs || bail "no new interface"
: >"$LAB_LOG"
daemon
is "made anew while lqosd was dead: three links are taken over" \
	"$(grep -c 'took over the XDP link' "$LAB_LOG")" 3
check "... and the first pair pings" soon ping_first

# Taken off, but not as lqosctl would.
: >"$LAB_LOG"
for link in xdp_inet xdp_wire_2 out_wire:2; do
	bpftool link detach pinned "$LAB_PINS/links/$link"
done
check "links that somebody has detached: the log tells" \
	soon said "wire.2: somebody has detached a program of ours"
check "... they are made anew" soon all_attached
is "... and the others are kept" \
	"$(grep -c 'the tcx ingress link .* does not fit' "$LAB_LOG")" 0
check "... the first pair pings" soon ping_first

kill -INT $STREAM
wait $STREAM
like "the second pair has lost nothing in all that time" \
	"$(cat "$LAB_DIR/stream")" "[, ]0% packet loss"
at_least "... which was some time" \
	"$(sed -n 's/ packets transmitted.*//p' "$LAB_DIR/stream")" 200

# What cannot be attached is said, and tried again.
ip -n "$LAB_NS_SHAPER" link del inet
check "inet is taken away" soon is_mode inet gone
: >"$LAB_LOG"
lab_shaper ip link add other type veth peer name eth0 netns "$LAB_NS_INET"
coproc FOREIGN { lab_shaper "$NET_HERE/foreign.py" other; }
read -r ID <&"${FOREIGN[0]}"
ip -n "$LAB_NS_SHAPER" link set other name inet
ip -n "$LAB_NS_SHAPER" link set inet up
lab_inet ethtool -K eth0 tx off >/dev/null
ip -n "$LAB_NS_INET" address add "$LAB_INET4/24" dev eth0
ip -n "$LAB_NS_INET" link set eth0 up
ip -n "$LAB_NS_INET" route add 100.64.0.0/10 dev eth0
# It has another hardware address.
ip -n "$LAB_NS_SUBS" neigh flush dev eth0
check "inet is there, but its place is taken: the log tells" \
	soon said "inet: another XDP program \(foreign, id $ID\) is attached"
is "... and it stays gone" "$(mode inet)" gone
IN=${FOREIGN[1]}
exec {IN}>&-
wait "$FOREIGN_PID"
check "without that it is attached" soon is_mode inet native
check "... and pings" soon ping_first

lab_stop
is "clean stop: status 0" $? 0
is "clean stop: no XDP program is left" \
	"$(ip -n "$LAB_NS_SHAPER" -d -j link show |
		jq '[.[].xdp // empty | .prog] | length')" 0
is "... no clsact" "$(lab_shaper tc qdisc show | grep -c clsact)" 0
is "... and nobody is promiscuous" \
	"$(ip -n "$LAB_NS_SHAPER" link show | grep -c PROMISC)" 0
