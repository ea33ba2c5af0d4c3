#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the hosts of topology.sh say to each other, on real sockets.

hosts.py devices PAIRS      ShapedDevices.csv: a circuit for each encapsulation
                            (see encap.bpf.c), pair of interfaces and family
hosts.py serve              the servers of all pairs; prints "ready"
hosts.py talk PAIRS TOLD    all circuits, with TCP (plain, and with as many IP
                            options or extension headers as there are) and
                            UDP in fragments; into TOLD: "CIRCUIT ok" or why not
"""
import hashlib
import os
import socket
import struct
import sys
import threading

# In the order of encap.bpf.c.
ENCAPS = ("none", "dot1q", "qinq", "tags3", "tags4", "pppoe", "dot1q_pppoe",
          "mpls", "mpls3", "dot1q_mpls", "dot1q_in_skb")
FAMILIES = (4, 6)

PLAIN, OPTIONS, FRAGMENTS = 7001, 7002, 7003
BYTES = 80000  # each way, with options a quarter of it
DATAGRAM, DATAGRAMS = 4100, 8
LIMIT = 8  # seconds
# In flight no more than what any queue on the way has room for.
BUFFER = 65536

# Record route with room for nine, and the end of the list: 40 bytes.
IP_OPTIONS = bytes([7, 39, 4]) + bytes(37)
IPV6_HOPOPTS, IPV6_DSTOPTS = 54, 59
# 16 bytes: an experimental option that nobody needs to know (RFC 4727); longer
# padding would be refused.
EXPERIMENT = bytes([0, 1, 0x1E, 12]) + bytes(12)


def circuits(pairs):
    """(circuit, pair, family, number of the encapsulation)."""
    for number, name in enumerate(ENCAPS):
        for pair in range(pairs):
            for family in FAMILIES:
                yield f"{name}-{pair}-{family}", pair, family, number


def client(pair, family, number):
    if family == 4:
        return f"100.{64 + pair}.{number}.1"
    return f"2001:db8:{64 + pair}:{number:x}::1"


def server(pair, family):
    if family == 4:
        return f"198.51.{100 + pair}.1"
    return ("2001:db8:ffff::1", "2001:db8:fffd::1")[pair]


def devices(pairs):
    yield ("Circuit ID,Circuit Name,Device ID,Device Name,Parent Node,"
           "Parent Node ID,Anchor Node ID,MAC,IPv4,IPv6,Download Min Mbps,"
           "Upload Min Mbps,Download Max Mbps,Upload Max Mbps,Comment")
    for i, (name, pair, family, number) in enumerate(circuits(pairs)):
        address = client(pair, family, number)
        yield (f"{name},{name},{name},{name},{'AB'[i // 2 % 2]},,,,"
               f"{address if family == 4 else ''},"
               f"{address if family == 6 else ''},100,100,1000,1000,")


def new_socket(family, kind, options):
    s = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
    s.settimeout(LIMIT)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == 6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    if options:
        set_options(s, family)
    return s


def set_options(s, family):
    if family == 4:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, IP_OPTIONS)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, EXPERIMENT)
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, EXPERIMENT)


def receive(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise OSError(f"connection ended after {len(data)} of {n} bytes")
        data += part
    return data


# ---- Server

def answer(s, family, options):
    """What comes, then its digest; it asked for as much as it sends."""
    with s:
        s.settimeout(LIMIT)
        if options:
            set_options(s, family)
        n, = struct.unpack("!I", receive(s, 4))
        data = receive(s, n)
        s.sendall(hashlib.sha256(data).digest() + data[::-1])


def listen(family, port, options):
    s = new_socket(family, socket.SOCK_STREAM, options)
    s.settimeout(None)
    s.bind(("", port))
    s.listen(64)
    while True:
        connection, _ = s.accept()
        threading.Thread(target=quietly, daemon=True,
                         args=(answer, connection, family, options)).start()


def quietly(fn, *arguments):
    try:
        fn(*arguments)
    except OSError:
        pass  # the other end tells


def echo(pair, family):
    s = new_socket(family, socket.SOCK_DGRAM, False)
    s.settimeout(None)
    s.bind((server(pair, family), FRAGMENTS))
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(data[::-1], peer)


def serve():
    threads = [(listen, family, port, port == OPTIONS)
               for family in FAMILIES for port in (PLAIN, OPTIONS)]
    threads += [(echo, pair, family)
                for pair in range(2) for family in FAMILIES]
    for fn, *arguments in threads:
        threading.Thread(target=quietly, daemon=True,
                         args=(fn, *arguments)).start()
    print("ready", flush=True)
    threading.Event().wait()


# ---- Client

def stream(pair, family, number, options):
    n = BYTES // 4 if options else BYTES
    data = os.urandom(n)
    with new_socket(family, socket.SOCK_STREAM, options) as s:
        s.bind((client(pair, family, number), 0))
        s.connect((server(pair, family), OPTIONS if options else PLAIN))
        s.sendall(struct.pack("!I", n) + data)
        if receive(s, 32) != hashlib.sha256(data).digest():
            raise OSError("what arrived at the server is not what was sent")
        if receive(s, n) != data[::-1]:
            raise OSError("what arrived here is not what was sent")


def fragments(pair, family, number):
    with new_socket(family, socket.SOCK_DGRAM, False) as s:
        s.bind((client(pair, family, number), 0))
        s.connect((server(pair, family), FRAGMENTS))
        for _ in range(DATAGRAMS):
            data = os.urandom(DATAGRAM)
            s.send(data)
            if s.recv(65536) != data[::-1]:
                raise OSError("another datagram than was sent")


def converse(name, pair, family, number, told):
    what = ""
    try:
        what = "TCP"
        stream(pair, family, number, False)
        what = "TCP with options"
        stream(pair, family, number, True)
        what = "UDP in fragments"
        fragments(pair, family, number)
        told[name] = "ok"
    except OSError as e:
        told[name] = f"{what}: {e}"


def talk(pairs, path):
    told = {}
    for encap in range(len(ENCAPS)):
        threads = [threading.Thread(target=converse, args=(*row, told))
                   for row in circuits(pairs) if row[3] == encap]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with open(path, "w", encoding="ascii") as out:
        for name, said in told.items():
            print(name, said, file=out)


def main():
    if sys.argv[1:2] == ["devices"]:
        print(*devices(int(sys.argv[2])), sep="\n")
    elif sys.argv[1:] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["talk"]:
        talk(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
