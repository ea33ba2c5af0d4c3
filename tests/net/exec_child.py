#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a command that lqosctl exec runs has got, and what it may do with it.

    exec_child.py clean COMMAND...  run it without any descriptor but 0, 1, 2
    exec_child.py judge [PREFIX]    its environment and descriptors, as JSON
    exec_child.py rights NAME       look up, update, freeze, map, fetch by id
    exec_child.py read NAME         bytes of the entries that stdin names, a
                                    line each, up to "end"
"""
import ctypes
import json
import mmap
import os
import sys

LIBBPF = ctypes.CDLL("libbpf.so.1", use_errno=True)


def open_fds():
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # that of the directory
    return fds


def maps(prefix):
    """{module, name, fd, id, type, key, value, entries, access} by LQOS_MAPS."""
    keys = "module name fd id type key value entries access".split()
    found = []
    for one in os.environ[f"{prefix}_MAPS"].split(";"):
        if one:
            found.append(dict(zip(keys, one.split(":"), strict=True)))
    return found


def info(fd):
    """What the kernel says of a descriptor."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return dict(line.strip().split(":\t", 1) for line in file)


def agrees(one):
    """Does the kernel say of the descriptor what LQOS_MAPS does?"""
    told = info(one["fd"])
    flags = int(told["flags"], 8) & os.O_ACCMODE
    return (told["map_id"] == one["id"] and told["map_type"] == one["type"] and
            told["key_size"] == one["key"] and
            told["value_size"] == one["value"] and
            told["max_entries"] == one["entries"] and
            flags == (os.O_RDONLY if one["access"] == "ro" else os.O_RDWR))


def variable(prefix, kind, one):
    name = f"{prefix}_{kind}_{one['module']}_{one['name']}".upper()
    return "".join(c if c.isalnum() else "_" for c in name)


def judge(prefix="LQOS"):
    fds = open_fds()
    named = maps(prefix)
    env = os.environ
    known = [int(one["fd"]) for one in named]
    btf = [one.split(":") for one in env.get(f"{prefix}_BTF", "").split(";")
           if one]
    progs = [one.split(":")
             for one in env.get(f"{prefix}_PROGS", "").split(";") if one]
    known += [int(fd) for _, fd in btf] + [int(one[2]) for one in progs]
    print(json.dumps({
        "n": len(named),
        "count": env["BPF_NUM_MAPS"] == str(len(named)),
        "numbered": all(env[f"BPF_MAP{i}"] == one["fd"]
                        for i, one in enumerate(named)) and
        f"BPF_MAP{len(named)}" not in env,
        "named": all(env[variable(prefix, "MAP", one)] == one["fd"]
                     for one in named),
        "variables": sum(name.startswith(f"{prefix}_MAP_") for name in env),
        "agrees": all(agrees(one) for one in named),
        "btf": all(fds.get(int(fd)) == "anon_inode:btf" for _, fd in btf),
        "n_btf": len(btf),
        "programs": all(fds.get(int(one[2])) == "anon_inode:bpf-prog" and
                        info(one[2])["prog_id"] == one[3] for one in progs),
        "n_programs": len(progs),
        "distinct": len(set(known)) == len(known) and
        (not known or min(known) >= 10),
        "strays": sorted(set(fds) - set(known) - {0, 1, 2}),
        "access": sorted({one["access"] for one in named}),
        "first": [f"{one['module']}:{one['name']}" for one in named[:3]],
        "uid": os.getuid(),
    }))


def fd_of(name):
    for one in maps("LQOS"):
        if name == f"{one['module']}:{one['name']}":
            return int(one["fd"]), one
    raise SystemExit(f"no {name} in LQOS_MAPS")


def code(rc):
    return "ok" if rc >= 0 else os.strerror(ctypes.get_errno())


def rights(name):
    fd, one = fd_of(name)
    key = ctypes.create_string_buffer(int(one["key"]))
    value = ctypes.create_string_buffer((int(one["value"]) + 7) // 8 * 8 * 1024)
    done = {"lookup": code(LIBBPF.bpf_map_lookup_elem(fd, key, value)),
            "update": code(LIBBPF.bpf_map_update_elem(
                fd, key, value, ctypes.c_ulonglong(0)))}
    if os.getuid():
        done["freeze"] = code(LIBBPF.bpf_map_freeze(fd))
        done["by_id"] = code(LIBBPF.bpf_map_get_fd_by_id(int(one["id"])))
    try:
        mmap.mmap(fd, mmap.PAGESIZE).close()
        done["map"] = "ok"
    except OSError as error:
        done["map"] = error.strerror
    print(json.dumps(done))


def read(name):
    fd, one = fd_of(name)
    key = ctypes.create_string_buffer(int(one["key"]))
    value = ctypes.create_string_buffer((int(one["value"]) + 7) // 8 * 8 * 1024)
    for line in sys.stdin:
        if line == "end\n":
            break
        ctypes.memset(value, 0, len(value))
        rc = LIBBPF.bpf_map_lookup_elem(
            fd, int(line).to_bytes(4, sys.byteorder), value)
        print(value.raw[:int(one["value"])].hex() if rc >= 0 else code(rc),
              flush=True)


def clean(*command):
    os.closerange(3, 4096)
    os.execvp(command[0], command)


if __name__ == "__main__":
    {"judge": judge, "rights": rights, "read": read,
     "clean": clean}[sys.argv[1]](*sys.argv[2:])
