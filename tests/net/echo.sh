#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The module echo on packetvisor's topology (etc/set_veth.sh), in the driver and
# in the stack: what it answers is right to the byte, what it does not answer is
# the kernel's as without it, and whatever comes, every frame goes back.

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FUZZ=100000

# What runs of this suite that were killed have left.
reap()
{
	local ns prefix pid

	for ns in /run/netns/e*_test1; do
		prefix=${ns#/run/netns/}
		prefix=${prefix%test1}
		pid=${prefix//[!0-9]/}
		[ ! -e "$ns" ] || [ "$prefix" != "e${pid}_" ] ||
			[ -e "/proc/$pid" ] ||
			"$NET_TOP/etc/unset_veth.sh" "$prefix"
	done
}

# In place of the lab's three namespaces.
names()
{
	PREFIX=e$$_
	HERE=${PREFIX}veth0
	THERE=${PREFIX}veth1
	LAB_NS_SHAPER=${PREFIX}test1
	LAB_NS_SWITCH=${PREFIX}test2
	mkdir -p "$LAB_DIR" && ip netns add "$LAB_NS_INET"
}

ask()
{
	lab_inet python3 -B "$NET_HERE/echo.py" "$@" 2>&1
}

# all_names: what ask() says, in one line.
all_names()
{
	ask "$1" "$HERE" "$MAC" | tr '\n' ' ' | sed 's/ $//'
}

attached()
{
	lab_shaper ip -d -j link show dev "$THERE" |
		jq -r '.[0].xdp.prog.id // "none"'
}

# Only the echo is to answer, so that it is known who did.
kernel_answers()
{
	lab_shaper sysctl -qw "net.ipv4.icmp_echo_ignore_all=$((!$1))" \
		"net.ipv6.icmp.echo_ignore_all=$((!$1))" \
		"net.ipv4.conf.$THERE.arp_ignore=$(($1 ? 0 : 8))"
}

# ---- The topology -----------------------------------------------------------

# set_veth COMMAND: set or unset; what it says, and its exit status.
veth()
{
	lab_inet "$NET_TOP/etc/$1_veth.sh" "$PREFIX" 2>&1
	echo $?
}

namespaces()
{
	find /run/netns -name "$PREFIX*"
}

offloads()
{
	local ns=$1 dev=$PREFIX$2

	nsenter --net="/run/netns/$ns" -- ethtool -k "$dev" |
		awk '/^[rt]x-checksumming:/ { printf "%s ", $2 }'
}

topology()
{
	is "set_veth.sh makes the topology" "$(veth set)" 0
	is "... and again" "$(veth set)" 0
	check "veth0 and test1 reach each other" \
		lab_inet ping -q -c 1 -W 5 10.0.0.5
	check "... by IPv6" lab_inet ping -q -c 1 -W 5 2001:db8::2
	check "veth2 and test2 do" \
		lab_inet ping -q -c 1 -W 5 -I "${PREFIX}veth2" 10.0.0.7
	is "nobody leaves checksums to his interface" \
		"$(offloads "$LAB_NS_INET" veth0)$(offloads "$LAB_NS_INET" veth2)\
$(offloads "$LAB_NS_SHAPER" veth1)$(offloads "$LAB_NS_SWITCH" veth3)" \
		"off off off off off off off off "
	lab_inet ip link del "${PREFIX}veth2"
	is "set_veth.sh mends what was taken away" "$(veth set)" 0
	is "unset_veth.sh takes it away" \
		"$(veth unset) $(namespaces)" "0 "
	is "... and again" "$(veth unset)" 0
	lab_inet ip link add "${PREFIX}veth2" type veth peer name other
	like "what is another's is left alone" "$(veth set)" \
		"${PREFIX}veth2 is there already, and not of this script"
	is "... and what was made before that is gone" "$(lab_inet \
		ip -br link | grep -c "^${PREFIX}veth") $(namespaces)" "1 "
	is "unset_veth.sh leaves it, too" \
		"$(veth unset) $(lab_inet ip -br link | grep -c "^${PREFIX}veth2")" "0 1"
	lab_inet ip link del "${PREFIX}veth2"
	veth set >/dev/null
	MAC=$(ip -n "$LAB_NS_SHAPER" -j link show dev "$THERE" |
		jq -r '.[0].address')
}

# ---- Questions --------------------------------------------------------------

# Echo replies, with right checksums, that our kernel got.
replies()
{
	lab_inet awk '
	$1 == "Icmp:" && !column {
		for (column = 2; $column != "InEchoReps"; column++)
			;
		next
	}
	$1 == "Icmp:" || $1 == "Icmp6InEchoReplies" {
		sum += $1 == "Icmp:" ? $column : $2
	}
	END { print sum }' /proc/net/snmp /proc/net/snmp6
}

# pings ADDRESS SIZE...: each of them that was not answered as it should.  ping
# itself does not always wait for the last reply.
pings()
{
	local address=$1 size out before got i

	shift
	for size; do
		before=$(replies)
		out=$(lab_inet ping -c 100 -i 0.01 -s "$size" -W 2 \
			"$address" 2>&1)
		for ((i = 0; i < 20 * SLOW; i++)); do
			got=$(($(replies) - before))
			[ "$got" -lt 100 ] || break
			sleep 0.1
		done
		[ "$got" = 100 ] && grep -qE ' (99|100) received' <<<"$out" &&
			! grep -qE 'wrong data|DUP|truncated' <<<"$out" ||
			echo "$size: $got replies; $(tail -n 3 <<<"$out" |
				tr '\n' ' ')"
	done
}

# A server that only the kernel can be.
tcp()
{
	local server rc

	in_background "$LAB_NS_SHAPER" iperf3 -s -1 -p 5300 >/dev/null 2>&1
	server=$!
	for _ in {1..100}; do
		[ -z "$(lab_shaper ss -Hltn 'sport = :5300')" ] || break
		sleep 0.05
	done
	lab_inet iperf3 -c "$1" -p 5300 -n 4M >/dev/null
	rc=$?
	end $server
	return $rc
}

refused()
{
	lab_inet python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect((sys.argv[1], 8))
s.send(b"8")
try:
	s.recv(10)
except Exception as e:
	print(type(e).__name__)' "$1"
}

count()
{
	take_frame
	jq -r --arg column "echo.$1" '.data.interfaces |
		(.columns | map(.name) | index($column)) as $i |
		.rows[0].values[$i]' "$LAB_DIR/frame.json"
}

# The sum of all, by jq's regex of their names.
counts()
{
	take_frame
	jq -r --arg which "$1" '.data.interfaces | . as $t |
		[.columns | to_entries[] | select(.value.name | test($which)) |
		$t.rows[0].values[.key]] | add' "$LAB_DIR/frame.json"
}

stat()
{
	ctl -j call xsk.stat | jq -r "$1"
}

# Frames that are nowhere but in the pool and in fill rings: as at the start.
pool()
{
	stat '"\(.pool.available) \(.taps[0].held) \(.pool.refused) " +
		"\([.sockets[].outstanding] | add)"'
}

pool_after()
{
	local i got

	for ((i = 0; i < 50 * SLOW; i++)); do
		got=$(pool)
		[ "$got" != "$1" ] || break
		sleep 0.1
	done
	echo "$got"
}

# what_is_asked WHAT: 15 tests.
what_is_asked()
{
	local what=$1 kind most

	like "$what: arping is answered" \
		"$(lab_inet arping -c 3 -I "$HERE" 10.0.0.5)" \
		"from 10.0.0.5 \[${MAC^^}\]"
	is "$what: ARP" "$(all_names arp)" "own answered unicast answered \
probe answered other ignored announcement ignored"
	is "$what: neighbour discovery" "$(all_names nd)" "group answered \
no_option answered unicast answered duplicate answered other ignored \
afar ignored code ignored duplicate_option ignored"
	is "$what: ping" "$(pings 10.0.0.5 0 1 17 56 1024 1472)" ""
	is "$what: ping by IPv6" "$(pings 2001:db8::2 \
		0 1 17 56 1024 1452)" ""
	for kind in icmp4 icmp6 udp4 udp6; do
		most=1473
		[[ $kind = *4 ]] || most=1453
		is "$what: $kind of all sizes, byte by byte" \
			"$(ask $kind "$HERE" "$MAC")" "$most of $most"
	done
	is "$what: one by one" "$(all_names cases)" "udp4 answered \
udp4_none answered udp4_partial answered udp4_wrong ignored \
udp6_partial answered udp4_options answered ping4_options answered \
tagged answered loop_7 ignored loop_19 ignored to_all ignored \
from_group ignored from_itself ignored fragment ignored echo_reply ignored"
	is "$what: other ports are the kernel's" "$(refused 10.0.0.5)" \
		ConnectionRefusedError
	check "$what: TCP is the kernel's" tcp 10.0.0.5
	check "$what: ... by IPv6" tcp 2001:db8::2
	lab_shaper ip address add 10.0.0.55/24 dev "$THERE"
	sleep $((3 * SLOW))
	is "$what: an address that came later is answered for" \
		"$(lab_inet ping -q -c 10 -i 0.01 -W 2 10.0.0.55 |
			grep -o '10 received')" "10 received"
	lab_shaper ip address del 10.0.0.55/24 dev "$THERE"
	sleep $((3 * SLOW))
	is "$what: ... and not when it has gone" \
		"$(lab_inet ping -q -c 3 -i 0.1 -W 1 10.0.0.55 |
			grep -o '0 received')" "0 received"
}

# Until its packets come to it.
begin()
{
	local i

	lab_ini modules=xsk,echo,lqtop "$@" && daemon -i "$THERE"
	for ((i = 0; i < 50 * SLOW; i++)); do
		[ "$(stat '.sockets | length')" = 0 ] || return
		sleep 0.1
	done
	bail "no AF_XDP socket"
}

# mode MODE SIGNAL: 27 tests.
mode()
{
	local what=$1 before taken

	begin "xdp_mode=$1"
	is "$what: XDP runs there" \
		"$(ctl -j status | jq -r '.interfaces[0].mode')" "$1"
	kernel_answers 0
	before=$(pool)
	what_is_asked "$what"
	settle
	is "$what: what was taken is what was answered or not" \
		"$(counts '^echo[.](?!tx_full)')" "$(stat '.taps[0].taken')"
	is "$what: ... and every ping was" "$(count icmp)" \
		$((6 * 100 + 1473 + 1 + 10))
	is "$what: nothing had to wait in vain" \
		"$(count tx_full) $(stat '[.sockets[] | .tx_dropped +
			.tx_refused + .rx_ring_full] | add')" "0 0"
	is "$what: the pool is as it was" "$(pool_after "$before")" "$before"
	taken=$(stat '.taps[0].taken')
	at_least "$what: $FUZZ frames of any kind" \
		"$(ask fuzz "$HERE" "$MAC" $FUZZ "$$")" $((FUZZ * 9 / 10))
	at_least "$what: ... many of which come to the echo" \
		$(($(stat '.taps[0].taken') - taken)) $((FUZZ / 50))
	is "$what: ... and the pool is as it was" "$(pool_after "$before")" \
		"$before"
	is "$what: ... and it goes on answering" "$(ask socket 10.0.0.5)" \
		"1473 of 1473"
	kernel_answers 1
	lab_stop "$2"
	is "$what: lqosd ends with status 0 by $2" $? 0
	is "$what: nothing stays of it" \
		"$(attached) $(ls "$LAB_PINS" 2>/dev/null)" "none "
	# Any kind of frame can have said where we are.
	ip -n "$LAB_NS_SHAPER" neigh flush dev "$THERE"
	check "$what: the kernel answers again" \
		lab_inet ping -q -c 1 -W 2 10.0.0.5
}

# Some addresses only; the others are the kernel's.
some_addresses()
{
	begin addresses=10.0.0.5
	lab_inet ping -q -c 5 -i 0.01 -W 2 10.0.0.5 >/dev/null
	check "an address that is not configured is the kernel's" \
		lab_inet ping -q -c 5 -i 0.01 -W 2 2001:db8::2
	settle
	is "... and the other was not" "$(count icmp) $(count icmpv6)" "5 0"
	lab_inet ethtool -K "$HERE" tx on >/dev/null
	is "checksums that are left to the interface are mended" \
		"$(ask socket 10.0.0.5)" "1473 of 1473"
	lab_inet ethtool -K "$HERE" tx off >/dev/null
	lab_stop
	lab_ini modules=xsk,echo addresses=10.0.0.5,veth1
	like "what is no address is refused" \
		"$("$ROOT/sbin/lqosd" -c "$LAB_INI" -t 2>&1)" \
		'addresses: "veth1": expected an address'
}

# of_unit KEY: its value in lqosd.service.
of_unit()
{
	sed -n "s/^$1=//p" "$NET_TOP/etc/lqosd.service.in"
}

# As the shipped unit runs it.
under_systemd()
{
	local answered caps limit

	caps=$(of_unit CapabilityBoundingSet | sed 's/ *CAP_/,+/g' |
		tr '[:upper:]' '[:lower:]')
	limit=(prlimit "--memlock=$(of_unit LimitMEMLOCK |
		sed s/infinity/unlimited/)")
	if ! "${limit[@]}" true 2>/dev/null; then
		note "no right to raise limits: CAP_IPC_LOCK stands for that"
		limit=()
		caps+=,+ipc_lock
	fi
	LAB_UNDER=("${limit[@]}" setpriv --no-new-privs
		--bounding-set "-all$caps" python3 -B "$NET_HERE/families.py"
		"$(of_unit RestrictAddressFamilies)")
	begin
	is "lqosd.service: that is how it runs" \
		"$(awk '/^(CapEff|Seccomp):/ { printf "%s ", $2 }' \
			"/proc/$LAB_DAEMON/status")" \
		"$(setpriv --bounding-set "-all$caps" \
			awk '/^CapEff:/ { printf "%s 2 ", $2 }' /proc/self/status)"
	answered=$(lab_inet ping -q -c 5 -i 0.01 -W 2 10.0.0.5 |
		grep -o '5 received')
	settle
	is "lqosd.service: xsk and echo answer" \
		"$answered $(count icmp)" "5 received 5"
	lab_stop
	is "lqosd.service: ... and end with status 0" $? 0
	LAB_UNDER=()
}

command -v arping >/dev/null || skip_all "no arping"
reap
net_plan 76
names || bail "no namespace"
topology
mode native TERM
mode generic INT
some_addresses
under_systemd
is "no sanitizer reports" "$(sanitizer_reports)" ""
is "unset_veth.sh takes all of it away" \
	"$(veth unset) $(namespaces)" "0 "
