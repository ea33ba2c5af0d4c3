#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The traffic of rtt.sh, on real sockets.

rtt_traffic.py server ADDRESS...        TCP port 8080, UDP ports 53 and 443 of
                                        each; prints "ready", ends with a signal
rtt_traffic.py client SCENARIO --from ADDRESS --to ADDRESS [--seconds N]
                                        [--rate MBIT]
                                        prints what it did, as JSON

Scenarios:
  down, up  one paced connection, small chunks
  burst     a download that the server writes in bursts, 10 to 20 ms apart
  burst_up  an upload that the client writes like this
  fill      a download as fast as it goes, without pacing (Reno)
  rr        requests of 100 bytes, answers of 1 to 20 kB, 50 ms after each
  idle      the same, 700 ms after each
  held      small ones in pairs: an ACK waits for the next, or for the timer
  beat      small ones, 50 ms after each
  push      200 bytes from the server, twice a second
  short     60 connections, one request each
  dns       queries over UDP, several at a time
  quic      handshakes as QUIC's, and a few packets more

Answers are immediate: who serves and who asks gets SCHED_FIFO if that is
allowed, since what they need to wake up is part of what is measured.
"""
import argparse
import json
import os
import random
import signal
import socket
import struct
import sys
import threading
import time

PORT, DNS, QUIC = 8080, 53, 443
ORDER = 64  # bytes: what the client wants of the server, padded
CHUNK_S = 0.001
BURST_GAPS = (0.010, 0.020, 0.015)
SHORT = 60
QUIC_VERSION = 1
INITIAL, HANDSHAKE = 0xC3, 0xE3
INITIAL_SIZE = 1200
SPARE = 3.0  # seconds that an answer may take


def at_once(priority):
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError):
        pass


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(min(n - len(data), 65536))
        if not more:
            raise EOFError
        data += more
    return data


def drain(sock):
    n = 0
    while more := sock.recv(65536):
        n += len(more)
    return n


def paced(sock, rate, seconds, gaps):
    """Writes what is due after each gap; who comes late makes up for it."""
    start = due = time.monotonic()
    sent, i = 0, 0
    while due < start + seconds:
        due += gaps[i % len(gaps)]
        i += 1
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        n = int((due - start) * rate / 8) - sent
        sock.sendall(bytes(n))
        sent += n
    return sent


# ---- The server -------------------------------------------------------------


def serve_requests(sock):
    """Each of 100 bytes, which begin with how many the answer has."""
    try:
        while True:
            sock.sendall(bytes(struct.unpack("!I96x", read(sock, 100))[0]))
    except EOFError:
        pass


def serve_connection(sock):
    with sock:
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            what, rate, seconds = read(sock, ORDER).decode().split()
            rate, seconds = float(rate), float(seconds)
            if what == "down":
                paced(sock, rate, seconds, (CHUNK_S,))
            elif what == "burst":
                paced(sock, rate, seconds, BURST_GAPS)
            elif what == "fill":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION,
                                b"reno")
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    sock.sendall(bytes(16384))
            elif what == "up":
                drain(sock)
            elif what == "push":
                for _ in range(int(seconds / 0.5)):
                    time.sleep(0.5)
                    sock.sendall(bytes(200))
            else:
                serve_requests(sock)
        except (OSError, EOFError):
            pass


def serve_tcp(listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(sock,),
                         daemon=True).start()


def serve_dns(sock):
    while True:
        query, peer = sock.recvfrom(2048)
        # The same question, with the bit that says it is an answer.
        sock.sendto(query[:2] + b"\x81\x80" + query[4:], peer)


def long_header(first, dcid, scid):
    token = b"\0" if first == INITIAL else b""
    return (bytes([first]) + struct.pack("!I", QUIC_VERSION) +
            bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid + token)


def ids_of(packet):
    """(DCID, SCID) of a long header."""
    n = packet[5]
    m = packet[6 + n]
    return packet[6:6 + n], packet[7 + n:7 + n + m]


def serve_quic(sock):
    mine = {}
    while True:
        packet, peer = sock.recvfrom(2048)
        if not packet[0] & 0x80:
            sock.sendto(b"\x40" + mine[peer][1] + os.urandom(60), peer)
            continue
        dcid, scid = ids_of(packet)
        if peer in mine and dcid == mine[peer][0]:
            continue  # the client's second flight
        mine[peer] = os.urandom(8), scid
        for first in (INITIAL, HANDSHAKE):
            header = long_header(first, scid, mine[peer][0])
            sock.sendto(header.ljust(INITIAL_SIZE, b"\1"), peer)


def bound(kind, address, port):
    sock = socket.socket(family(address), kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    return sock


def server(addresses):
    jobs = []
    for address in addresses:
        jobs += [(serve_tcp, bound(socket.SOCK_STREAM, address, PORT)),
                 (serve_dns, bound(socket.SOCK_DGRAM, address, DNS)),
                 (serve_quic, bound(socket.SOCK_DGRAM, address, QUIC))]
    # A process each: none waits for another's turn in the interpreter.
    children = []
    for serve, sock in jobs:
        pid = os.fork()
        if not pid:
            at_once(2)
            try:
                serve(sock)
            finally:
                os._exit(1)
        children.append(pid)
    print("ready", flush=True)

    def end(*_):
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while True:
        os.wait()


# ---- The client -------------------------------------------------------------


class Client:
    def __init__(self, options):
        self.to, self.source = options.to, options.source
        self.seconds, self.rate = options.seconds, options.rate * 1e6
        self.random = random.Random(options.seed)

    def connect(self, what):
        sock = socket.create_connection((self.to, PORT),
                                        self.seconds + SPARE,
                                        (self.source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        order = f"{what} {self.rate} {self.seconds}"
        sock.sendall(order.ljust(ORDER).encode())
        return sock

    def udp(self, port):
        sock = socket.socket(family(self.to), socket.SOCK_DGRAM)
        sock.bind((self.source, 0))
        sock.connect((self.to, port))
        sock.settimeout(SPARE)
        return sock

    def download(self, what):
        with self.connect(what) as sock:
            return {"bytes": drain(sock)}

    def down(self):
        return self.download("down")

    def burst(self):
        return self.download("burst")

    def fill(self):
        return self.download("fill")

    def push(self):
        return self.download("push")

    def upload(self, gaps):
        with self.connect("up") as sock:
            n = paced(sock, self.rate, self.seconds, gaps)
            sock.shutdown(socket.SHUT_WR)
            drain(sock)
        return {"bytes": n}

    def up(self):
        return self.upload((CHUNK_S,))

    def burst_up(self):
        return self.upload(BURST_GAPS)

    def request(self, sock, least, most):
        n = self.random.randrange(least, most)
        sock.sendall(struct.pack("!I96x", n))
        read(sock, n)

    def requests(self, gaps, least=1000, most=20000):
        end, n = time.monotonic() + self.seconds, 0
        with self.connect("rr") as sock:
            while time.monotonic() < end:
                self.request(sock, least, most)
                time.sleep(gaps[n % len(gaps)])
                n += 1
        return {"requests": n}

    def rr(self):
        return self.requests((0.050,))

    def idle(self):
        return self.requests((0.700,))

    def held(self):
        return self.requests((0.010, 0.100), 200, 201)

    def beat(self):
        return self.requests((0.050,), 200, 201)

    def short(self):
        gap = self.seconds / SHORT
        start = time.monotonic()
        for i in range(SHORT):
            wait = start + i * gap - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            with self.connect("rr") as sock:
                self.request(sock, 1000, 15000)
        return {"connections": SHORT}

    def dns(self):
        end, n = time.monotonic() + self.seconds, 0
        name = b"\3www\7example\3com\0\0\1\0\1"
        with self.udp(DNS) as sock:
            while time.monotonic() < end:
                ids = self.random.sample(range(65536), 3)
                for i in ids:
                    sock.send(struct.pack("!6H", i, 0x100, 1, 0, 0, 0) + name)
                for _ in ids:
                    sock.recv(2048)
                n += len(ids)
                time.sleep(0.1)
        return {"queries": n}

    def quic(self):
        end, n = time.monotonic() + self.seconds, 0
        while time.monotonic() < end:
            with self.udp(QUIC) as sock:
                dcid, scid = os.urandom(8), os.urandom(5)
                header = long_header(INITIAL, dcid, scid)
                sock.send(header.ljust(INITIAL_SIZE, b"\1"))
                _, theirs = ids_of(sock.recv(2048))
                sock.recv(2048)
                header = long_header(INITIAL, theirs, scid)
                sock.send(header.ljust(INITIAL_SIZE, b"\1"))
                for _ in range(3):
                    sock.send(b"\x40" + theirs + os.urandom(60))
                    sock.recv(2048)
            n += 1
            time.sleep(0.1)
        return {"handshakes": n}


SCENARIOS = ("down", "up", "burst", "burst_up", "fill", "rr", "idle", "held",
             "beat", "push", "short", "dns", "quic")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("server", "client"))
    parser.add_argument("words", nargs="+")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--to")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.mode == "server":
        server(options.words)
    name = options.words[0]
    if name not in SCENARIOS:
        parser.error("no scenario \"%s\"" % name)
    at_once(1)
    try:
        print(json.dumps(getattr(Client(options), name)()))
    except (OSError, EOFError) as e:
        print("%s: %s" % (name, e or "the server has hung up"),
              file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
