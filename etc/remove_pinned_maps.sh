#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Removes what lqosd and LibreQoS have pinned, so that the next start begins
# with empty maps.  The links of our programs are pins, too: where no daemon
# lives, the programs go off the interfaces with them, so that nothing is shaped
# any more, and with bridge = xdp nothing is forwarded either.  `lqosctl detach`
# does more: it also removes filters at clsact and restores what was changed of
# the interfaces.

set -u

config=/etc/lqos/lqos.ini
bpffs=/sys/fs/bpf
run_dir=
pin_dir=
force=
given=
elsewhere=
self=${0##*/}

# LibreQoS 1.4 to 2.2, in the BPF file system itself.
libreqos=(map_traffic map_ip_to_cpu_and_tc ip_to_cpu_and_tc_hotcache
	ip_mapping_epoch tc_classify_control cpu_map cpus_available
	map_txq_config bifrost_interface_map bifrost_vlan_map flowbee
	heimdall heimdall_config heimdall_watching packet_ts flow_state
	rtt_tracker map_ip_to_cpu_and_tc_recip)

usage()
{
	cat <<-END
		usage: $self [-f] [-c FILE] [-d BPFFS] [-r RUN_DIR]

		  -f  even while a daemon lives
		  -c  the configuration, for its pin_dir and run_dir ($config)
		  -d  where LibreQoS's pins are ($bpffs); ours are in lqos/ there,
		      unless -c says otherwise
		  -r  where a daemon would have its lock (/run/lqos)

		Without a daemon, this takes our programs off the interfaces: with
		bridge = xdp they forward no more.
	END
}

# setting KEY: its value in section [lqosd] of the configuration.
setting()
{
	awk -v key="$1" '
		/^[[:space:]]*\[/ { ours = /^[[:space:]]*\[lqosd\]/ }
		ours && match($0, "^[[:space:]]*" key "[[:space:]]*=") {
			value = substr($0, RSTART + RLENGTH)
			sub(/[[:space:]];.*/, "", value)
			gsub(/^[[:space:]]+|[[:space:]]+$/, "", value)
			print value
		}' "$config"
}

# Does somebody hold it?  Ours lock their pins and their run directory.
is_locked()
{
	[ -e "$1" ] && ! flock -n -s "$1" true
}

# LibreQoS's daemon writes its pid, and leaves it there when it crashes.
lives()
{
	local pid comm

	{ pid=$(<"$1"); } 2>/dev/null || return 1
	[[ $pid =~ ^[0-9]+$ ]] || return 1
	{ comm=$(<"/proc/$pid/comm"); } 2>/dev/null || return 1
	[[ $comm == *lqosd* ]]
}

# Flag 10000: it listens.
listens()
{
	awk -v path="$1" '$4 == "00010000" && $8 == path { found = 1 }
		END { exit !found }' /proc/net/unix
}

# Who it is that lives, if anybody.
daemon()
{
	if is_locked "$pin_dir"; then
		echo "the lqosd that has its pins in $pin_dir"
	elif is_locked "$run_dir/lock"; then
		echo "lqosd (pid $(<"$run_dir/lock"))"
	elif lives "$run_dir/lqosd.lock"; then
		echo "LibreQoS's lqosd (pid $(<"$run_dir/lqosd.lock"))"
	elif listens "$run_dir/bus"; then
		echo "what listens on $run_dir/bus"
	else
		return 1
	fi
}

while getopts fc:d:r:h option; do
	case $option in
	f) force=1 ;;
	c) config=$OPTARG given=1 ;;
	d) bpffs=${OPTARG%/} elsewhere=1 ;;
	r) run_dir=${OPTARG%/} ;;
	h)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done
if [ $OPTIND -le $# ]; then
	usage >&2
	exit 2
fi
if [ -r "$config" ]; then
	if [ -n "$given" ] || [ -z "$elsewhere" ]; then
		pin_dir=$(setting pin_dir)
	fi
	run_dir=${run_dir:-$(setting run_dir)}
elif [ -n "$given" ]; then
	echo "$self: cannot read $config: expected a lqos.ini" >&2
	exit 1
fi
pin_dir=${pin_dir:-$bpffs/lqos}
pin_dir=${pin_dir%/}
run_dir=${run_dir:-/run/lqos}
if [ ! -d "$bpffs" ]; then
	echo "$self: $bpffs: no such directory: is a BPF file system" \
		"mounted there?" >&2
	exit 1
fi
if [ -z "$force" ] && who=$(daemon); then
	echo "$self: $who is alive: stop it first, or use -f" >&2
	exit 1
fi

rc=0
rm -vf "${libreqos[@]/#/$bpffs/}" || rc=1
if [ -d "$pin_dir" ]; then
	if [ "$(stat -f -c %T "$pin_dir")" != bpf_fs ]; then
		echo "$self: $pin_dir is in no BPF file system: left alone" >&2
		rc=1
	else
		rm -vrf "$pin_dir" || rc=1
	fi
fi
exit $rc
