#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# remove_pinned_maps.sh in a directory of its own: LibreQoS's pins, those of a
# real lqosd, and who has to be dead before.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SCRIPT=$NET_TOP/etc/remove_pinned_maps.sh
RIVALS=(map_traffic map_ip_to_cpu_and_tc cpu_map cpus_available packet_ts
	flow_state rtt_tracker map_ip_to_cpu_and_tc_recip map_txq_config
	bifrost_interface_map bifrost_vlan_map heimdall heimdall_config
	heimdall_watching flowbee ip_to_cpu_and_tc_hotcache ip_mapping_epoch
	tc_classify_control)

pins()
{
	find "$LAB_PINS" -mindepth 1 ! -type d | wc -l
}

pin_rivals()
{
	local name

	for name in "${RIVALS[@]}" somebody_elses; do
		bpftool map create "$LAB_PINS/$name" type array key 4 value 8 \
			entries 1 name rival || return
	done
}

# script [ARGUMENT...]: as an operator would, but here; output in SAID.
script()
{
	SAID=$("$SCRIPT" -d "$LAB_PINS" -r "$LAB_DIR/run" "$@" 2>&1)
}

refuses()
{
	local description=$1 regex=$2 before rc

	before=$(pins)
	script
	rc=$?
	like "$description" "$rc $SAID" "^1 remove_pinned_maps.sh: $regex is \
alive: stop it first, or use -f\$"
	is "... and nothing is removed" "$(pins)" "$before"
}

command -v bpftool >/dev/null || skip_all "no bpftool"
net_begin 31
mkdir "$LAB_PINS" "$LAB_DIR/run" || bail "no directory for pins"

script
is "nothing there: nothing to say" "$? $SAID" "0 "

pin_rivals || bail "no pins"
script
is "LibreQoS's pins: status" $? 0
is "each of them is named" \
	"$(sort <<<"$SAID")" \
	"$(printf "removed '$LAB_PINS/%s'\n" "${RIVALS[@]}" | sort)"
is "a stranger's is left" "$(ls "$LAB_PINS")" somebody_elses

# LibreQoS's daemon: a lock with the pid of a process of that name.
cp "$(command -v sleep)" "$LAB_DIR/lqosd"
"$LAB_DIR/lqosd" 60 &
rival=$!
printf %d "$rival" >"$LAB_DIR/run/lqosd.lock"
pin_rivals 2>/dev/null
refuses "LibreQoS's daemon lives" "LibreQoS's lqosd \(pid $rival\)"
script -f
is "it may be forced" "$? $(pins)" "0 1"
kill "$rival"
wait "$rival" 2>/dev/null
pin_rivals 2>/dev/null
script
is "a dead one's lock stops nobody" "$? $(pins)" "0 1"
printf %d $$ >"$LAB_DIR/run/lqosd.lock"
script
is "nor does a lock with another program's pid" $? 0
rm "$LAB_DIR/run/lqosd.lock"

python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print(flush=True)
time.sleep(60)' "$LAB_DIR/run/bus" >"$LAB_DIR/ready" &
rival=$!
for ((i = 0; i < 100; i++)); do
	[ ! -s "$LAB_DIR/ready" ] || break
	sleep 0.1
done
refuses "a bus is listened on" "what listens on $LAB_DIR/run/bus"
kill "$rival"
wait "$rival" 2>/dev/null
rm "$LAB_DIR/run/bus"

lab_ini "pin_dir=$LAB_PINS/lqos"
daemon
at_least "lqosd has pins" "$(pins)" 5
refuses "lqosd lives" "the lqosd that has its pins in $LAB_PINS/lqos"
SAID=$("$SCRIPT" -d "$LAB_DIR" -r "$LAB_DIR/run" 2>&1)
is "... known by its run directory, too" "$? $SAID" "1 remove_pinned_maps.sh: \
lqosd (pid $(<"$LAB_DIR/run/lock")) is alive: stop it first, or use -f"
lab_stop KILL
at_least "killed, it leaves its pins" "$(pins)" 5
before=$(pins)
script
is "lqosd's pins: status" $? 0
like "each is named" "$SAID" "^removed '$LAB_PINS/lqos/maps/datapath/dp_owners4'\$"
is "as many as there were, but the stranger's" \
	"$(grep -c "^removed '" <<<"$SAID")" $((before - 1))
is "nothing but the stranger's is left" "$(ls "$LAB_PINS")" somebody_elses
daemon
is "the next start has no earlier run" "$(grep -c 'earlier run' "$LAB_LOG")" 0
lab_stop

# Where the pins are is in the configuration.
daemon
SAID=$("$SCRIPT" -c "$LAB_INI" -d "$LAB_DIR" 2>&1)
is "lqosd lives, by its configuration" "$? $SAID" "1 remove_pinned_maps.sh: \
the lqosd that has its pins in $LAB_PINS/lqos is alive: stop it first, or use -f"
lab_stop KILL
SAID=$("$SCRIPT" -c "$LAB_INI" -d "$LAB_DIR" 2>&1)
is "-c: status" $? 0
check "-c: pin_dir is gone" test ! -e "$LAB_PINS/lqos"
is "... and the programs with it" \
	"$(ip -n "$LAB_NS_SHAPER" -d -j link show |
		jq '[.[].xdp // empty | .prog] | length')" 0
SAID=$("$SCRIPT" -c "$LAB_DIR/none.ini" 2>&1)
is "-c: no such file" "$? $SAID" "1 remove_pinned_maps.sh: cannot read \
$LAB_DIR/none.ini: expected a lqos.ini"
mkdir "$LAB_DIR/folder"
lab_ini "pin_dir=$LAB_DIR/folder"
SAID=$("$SCRIPT" -c "$LAB_INI" -d "$LAB_DIR" 2>&1)
is "-c: a pin_dir that is no BPF file system stays" "$? $SAID" "1 \
remove_pinned_maps.sh: $LAB_DIR/folder is in no BPF file system: left alone"
rmdir "$LAB_DIR/folder"

script -x >/dev/null
is "an option there is not: status" $? 2
script word
is "a word too many: status" $? 2
SAID=$("$SCRIPT" -d /nowhere 2>&1)
is "no such directory" "$? $SAID" "1 remove_pinned_maps.sh: /nowhere: no such \
directory: is a BPF file system mounted there?"
