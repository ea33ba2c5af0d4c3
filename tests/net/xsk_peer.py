# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ends of connections whose packets pass lqosctl xsk, for xsk_tools.sh.

count-server SECONDS PORT   datagrams numbered from 0: how many, in which order
count ADDRESS PORT N        sends them
talk-server PORT...         TCP: says back what it hears
talk ADDRESS PORT TEXT...   one at a time: what came back, or "reset"
word-server PORT            UDP: says back what it hears, and its length
word ADDRESS PORT TEXT...   what came back
mss ADDRESS PORT            of a TCP connection
Servers print "ready" first and end with the process that started them.
"""
import selectors
import socket
import struct
import sys
import time

PATIENCE = 5.0
SO_RCVBUFFORCE = 33  # of Linux
BURST = 32


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp_server(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
    s.bind(("::", int(port)))
    print("ready", flush=True)
    return s


def count_server(seconds, port):
    s = udp_server(port)
    s.settimeout(float(seconds))
    got, late, next_one, bad = 0, 0, 0, 0
    while True:
        try:
            data = s.recv(2048)
        except socket.timeout:
            break
        number, = struct.unpack("!I", data[:4])
        bad += data[4:] != bytes([number & 255]) * (len(data) - 4)
        late += number < next_one
        next_one = max(next_one, number + 1)
        got += 1
        s.settimeout(1.0)
    print("got", got, "late", late, "bad", bad, flush=True)


def count(address, port, n):
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.connect((address, int(port)))
        for i in range(int(n)):
            s.send(struct.pack("!I", i) + bytes([i & 255]) * (i % 1400))
            if i % BURST == BURST - 1:
                time.sleep(0.001)


def talk_server(*ports):
    selector = selectors.DefaultSelector()
    for port in ports:
        s = socket.create_server(("::", int(port)), family=socket.AF_INET6,
                                 dualstack_ipv6=True)
        selector.register(s, selectors.EVENT_READ, True)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data:
                peer, _ = key.fileobj.accept()
                selector.register(peer, selectors.EVENT_READ, False)
                continue
            try:
                data = key.fileobj.recv(65536)
                key.fileobj.sendall(data)
                end = "closed" if not data else None
            except ConnectionResetError:
                end = "reset"
            if end:
                print(end, flush=True)
                selector.unregister(key.fileobj)
                key.fileobj.close()


def talk(address, port, *texts):
    with socket.create_connection((address, int(port)), PATIENCE) as s:
        for text in texts:
            try:
                s.sendall(text.encode())
                print(s.recv(65536).decode() or "closed")
            except ConnectionResetError:
                print("reset")
                return


def word_server(port):
    s = udp_server(port)
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(data + b" %d" % len(data), peer)


def word(address, port, *texts):
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.connect((address, int(port)))
        for text in texts:
            s.send(text.encode())
            print(s.recv(65536).decode())


def mss(address, port):
    with socket.create_connection((address, int(port)), PATIENCE) as s:
        s.sendall(b"hello")
        s.recv(16)
        print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))


globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
