# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the benchmarks in this folder that need a lab: rounds, samples, and a line
# of JSON for each name that was sampled.
#
#	LQOS_ROOT	where lqos is installed (build/tests-gcc/root)
#	LQOS_BUILD	where it was built ($LQOS_ROOT/..)

set -u

BENCH_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
BENCH_TOP=$(cd "$BENCH_HERE/../.." && pwd) || exit 1
ROOT=${LQOS_ROOT:-$BENCH_TOP/build/tests-gcc/root}
BUILD=${LQOS_BUILD:-$ROOT/..}
TRAFFIC=$BUILD/tests/bench/traffic
PATH=$PATH:/usr/sbin:/sbin
ME=${0##*/}
EFFORT=normal # or quick, full
ROUNDS=       # unless said, by effort

# shellcheck source=etc/lab.sh
. "$BENCH_TOP/etc/lab.sh"

say()
{
	echo "$ME: $*" >&2
}

die()
{
	say "$@"
	exit 1
}

bench_usage()
{
	cat <<-END
		Usage: $ME [--quick | --full] [--rounds N] [NAME...]
		Prints a line of JSON a result.

		  --quick      fewer and shorter rounds, about a minute in all
		  --full       more and longer ones
		  --rounds N   so many
		  NAME         only these configurations: $1
	END
}

# bench_arguments CONFIGURATIONS QUICK NORMAL FULL ARGUMENT...: EFFORT, ROUNDS
# and ONLY; the numbers are rounds.
bench_arguments()
{
	local known=$1 quick=$2 normal=$3 full=$4

	ONLY=()
	shift 4
	while [ $# -gt 0 ]; do
		case $1 in
		--quick | --full) EFFORT=${1#--} ;;
		--rounds)
			[[ ${2:-} =~ ^[1-9][0-9]*$ ]] ||
				die "--rounds is \"${2:-}\": expected a number"
			ROUNDS=$2
			shift
			;;
		--help)
			bench_usage "$known"
			exit
			;;
		*)
			[[ " $known " == *" $1 "* ]] ||
				die "\"$1\" is no configuration: expected" \
					"$known"
			ONLY+=("$1")
			;;
		esac
		shift
	done
	[ ${#ONLY[@]} -gt 0 ] || read -ra ONLY <<<"$known"
	case $EFFORT in
	quick) ROUNDS=${ROUNDS:-$quick} ;;
	full) ROUNDS=${ROUNDS:-$full} ;;
	*) ROUNDS=${ROUNDS:-$normal} ;;
	esac
}

# by_effort QUICK NORMAL FULL: one of them.
by_effort()
{
	case $EFFORT in
	quick) echo "$1" ;;
	full) echo "$3" ;;
	*) echo "$2" ;;
	esac
}

# wanted NAME: is it one of those that were asked for?
wanted()
{
	[[ " ${ONLY[*]} " == *" $1 "* ]]
}

# bench_hurry PID...: others on the machine are to wait, where that may be asked
# for.  Where each session is scheduled as one, its own niceness counts too.
bench_hurry()
{
	local pid

	for pid in "$@"; do
		renice -n -20 -p "$pid" >/dev/null 2>&1
		{ echo -20 >"/proc/$pid/autogroup"; } 2>/dev/null
	done
	return 0
}

# The same for lqosd, and for the kernel's threads of its cpumap.
bench_hurry_daemon()
{
	local id

	id=$(bpftool -j map show pinned "$LAB_PINS/maps/datapath/lqos_cpumap" |
		jq .id) || die "lqosd has no cpumap"
	grep -lxs "cpumap/[0-9]*/map:$id" /proc/[0-9]*/comm |
		sed 's|/proc/\(.*\)/comm|\1|' |
		xargs -r renice -n -20 -p >/dev/null
	bench_hurry "$LAB_DAEMON"
}

bench_end()
{
	local rc=$?

	trap '' INT TERM HUP
	trap - EXIT
	[ $rc -eq 0 ] || [ ! -s "$LAB_LOG" ] || tail -n 20 "$LAB_LOG" >&2
	lab_down || rc=1
	[ -z "$(lab_left)" ] || lab_left >&2
	exit $rc
}

# What is sampled is in LAB_DIR/samples from here on.
bench_begin()
{
	local tool

	[ "$(id -u)" -eq 0 ] || die "not root, which namespaces and BPF need"
	[ -x "$ROOT/sbin/lqosd" ] ||
		die "no $ROOT/sbin/lqosd: set LQOS_ROOT to where lqos is installed"
	[ -x "$TRAFFIC" ] ||
		die "no $TRAFFIC: make tests/bench/traffic in LQOS_BUILD"
	for tool in ip tc ethtool jq iperf3 nsenter setpriv ping python3 \
		bpftool taskset; do
		command -v "$tool" >/dev/null ||
			die "no $tool: tests/run names the packages"
	done
	lab_reap
	lab_names
	trap bench_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	bench_hurry $$
	mkdir -p "$LAB_DIR" && : >"$LAB_DIR/samples" ||
		die "cannot write to $LAB_DIR"
}

# bench_csv N: that many subscribers with an address each, whom nothing limits.
bench_csv()
{
	awk -v n="$1" 'BEGIN {
		print "Circuit ID,Circuit Name,Device ID,Device Name," \
			"Parent Node,Parent Node ID,Anchor Node ID,MAC,IPv4," \
			"IPv6,Download Min Mbps,Upload Min Mbps," \
			"Download Max Mbps,Upload Max Mbps,Comment"
		for (i = 0; i < n; i++) {
			a = i + 256
			printf "c%d,c%d,d%d,d%d,,,,,100.%d.%d.%d,,%s\n",
				i, i, i, i, 64 + int(a / 65536),
				int(a / 256) % 256, a % 256,
				"20000,20000,20000,20000,"
		}
	}'
}

# traffic MODE OPTION=VALUE...
traffic()
{
	local mode=$1

	shift
	"$TRAFFIC" "$mode" "subs=/run/netns/$LAB_NS_SUBS" \
		"inet=/run/netns/$LAB_NS_INET" "$@"
}

# sample NAME UNIT VALUE
sample()
{
	[ -n "$3" ] || die "nothing was measured for $1"
	echo "$1 $2 $3" >>"$LAB_DIR/samples"
	say "$1 $3 $2"
}

# ratio OVER UNDER: three digits behind the point.
ratio()
{
	awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3f", a / b }'
}

# A line for each name, in the order in which they came.
bench_results()
{
	jq -cnR '
	def median: sort | length as $n |
		if $n % 2 == 1 then .[$n / 2 | floor]
		else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;
	[inputs | split(" ")] | . as $all |
	reduce .[][0] as $name ([]; if index([$name]) then . else
		. + [$name] end) | .[] as $name |
	[$all[] | select(.[0] == $name)] | .[0][1] as $unit |
	map(.[2] | tonumber) |
	{name: $name, unit: $unit, median: (median * 1000 | round / 1000),
		min: min, max: max, rounds: length}' "$LAB_DIR/samples"
}
