#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command on a terminal of its own.

onpty.py LIMIT TEXT KEYS COMMAND...

Copies what the command shows to standard output; once TEXT was in it (both it
and KEYS may have escapes, such as \\x03) types KEYS.  Ends with the command's
exit status, or 124 when LIMIT seconds are over.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time


def unescape(text):
    return text.encode().decode("unicode_escape").encode("latin-1")


def main(limit, text, keys, *command):
    text, keys = unescape(text), unescape(keys)
    end = time.monotonic() + float(limit)
    pid, fd = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shown = b""
    while time.monotonic() < end:
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        sys.stdout.buffer.write(data)
        shown += data
        if keys and text in shown:
            os.write(fd, keys)
            keys = None
    else:
        os.close(fd)  # hangs up
        sys.exit(124)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


main(*sys.argv[1:])
