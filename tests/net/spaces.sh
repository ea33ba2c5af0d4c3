#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# address_spaces = yes: the same address in two VLANs is two subscribers, and in
# any other VLAN a third, who has it in none in particular.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HEAD='Circuit ID,Circuit Name,Device ID,Device Name,Parent Node,MAC,IPv4,IPv6,'
HEAD+='Download Min Mbps,Upload Min Mbps,Download Max Mbps,Upload Max Mbps,'
HEAD+='Comment'

# send up|down: by eth0 of where that is; bytes of UDP between 100.64.9.1 (and
# 2001:db8:9::1) and the internet, tagged as each line says.
send()
{
	local run=lab_subs

	[ "$1" = up ] || run=lab_inet
	$run python3 - "$1" <<'EOF'
import socket, struct, sys

# Tags, how many, how long.
PLAN = [((200,), 100, 500), ((201,), 60, 500), ((202,), 30, 500),
        ((), 20, 500), ((200, 7), 15, 700), ((7, 200), 10, 900)]
ends4 = socket.inet_aton("100.64.9.1"), socket.inet_aton("198.51.100.1")
ends6 = (socket.inet_pton(socket.AF_INET6, "2001:db8:9::1"),
         socket.inet_pton(socket.AF_INET6, "2001:db8:ffff::1"))
way = 1 if sys.argv[1] == "up" else -1


def checksum(data):
    total = sum(struct.unpack("!10H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(v6, length):
    body = struct.pack("!HHHH", 4000, 4000, 8 + length, 0) + bytes(length)
    if v6:
        return struct.pack("!IHBB", 6 << 28, len(body), 17, 9) + \
            b"".join(ends6[::way]) + body
    head = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + len(body), 1, 0, 9, 17, 0,
                       b"".join(ends4[::way]))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
    s.bind(("eth0", 0))
    for tags, count, size in PLAN:
        for v6 in 0, 1:
            frame = b"\x02\0\0\0\0\x99\x02\0\0\0\0" + bytes([0xd0 + (way < 0)])
            for i, vid in enumerate(tags):
                frame += struct.pack("!HH", 0x88A8 if i + 1 < len(tags) else
                                     0x8100, 0x6000 | vid)
            frame += struct.pack("!H", 0x86DD if v6 else 0x0800)
            frame += ip(v6, size - len(frame) - (48 if v6 else 28))
            for _ in range(count):
                s.send(frame)
EOF
}

# Of each circuit, both families together.
declare -A WANT TAGGED
WANT[A]=$((2 * (100 * 500 + 15 * 700))) # VLAN 200
WANT[B]=$((2 * 60 * 500))		# VLAN 201
WANT[C]=$((2 * (30 * 500 + 20 * 500 + 10 * 900)))
# A class counts a frame without its outer tag, which is beside it.
TAGGED[A]=230
TAGGED[B]=120
TAGGED[C]=80

# try WHAT SETTING...: 9 tests.
try()
{
	local what=$1 circuit way side

	shift
	lab_ini "shaped_devices=$LAB_DIR/devices" network_json= \
		address_spaces=yes "$@"
	: >"$LAB_LOG"
	lab_shaper tc qdisc del dev subs root 2>/dev/null
	lab_shaper tc qdisc del dev inet root 2>/dev/null
	daemon
	make_htb
	send up
	send down
	settle
	take_frame
	for circuit in A B C; do
		for way in up down; do
			is "$what: all that $circuit had $way" \
				"$(cell $circuit "throughput.$way.bytes")" \
				"${WANT[$circuit]}"
			side=subs
			[ $way = down ] || side=inet
			is "$what: ... and in its class" \
				"$(class_bytes $side \
					"$(planned $circuit class)")" \
				$((WANT[$circuit] - 4 * TAGGED[$circuit]))
		done
	done
	lab_stop
	is "$what: status 0" $? 0
}

net_begin 28
cat >"$LAB_DIR/devices" <<EOF
$HEAD
A,A,A,A,,,100.64.9.1%200,2001:db8:9::1%200,1,1,1000,1000,
B,B,B,B,,,100.64.9.1%201,2001:db8:9::%201/64,1,1,1000,1000,
C,C,C,C,,,100.64.9.0/24,2001:db8:9::/48,1,1,1000,1000,
EOF
try "metadata"
try "no metadata" metadata=off

lab_ini "shaped_devices=$LAB_DIR/devices" network_json=
daemon
like "without address_spaces such rows are refused by name" \
	"$(cat "$LAB_LOG")" "devices:2:.*address_spaces = yes in \[lqosd\]"
