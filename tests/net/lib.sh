# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the suites in this folder, which source it: TAP, a lab that goes away by
# itself, and questions to ask of it.
#
#	LQOS_ROOT	where lqos is installed
#	LQOS_SANITIZED	1: built with sanitizers; everything takes longer
#	LQOS_SLOW	how many times slower than usual the machine is, as one
#			that is emulated

set -u

NET_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
NET_TOP=$(cd "$NET_HERE/../.." && pwd) || exit 1
ROOT=${LQOS_ROOT:-}
[ "${LQOS_SANITIZED:-0}" = 1 ] || LQOS_SANITIZED=
SLOW=${LQOS_SLOW:-1}
# What suites send takes a third of a usual CPU: as many bytes in so many times
# the time is what this one can do.
PACE=$(((SLOW + 2) / 3))
# Where the BPF programs of this folder are.
NET_BUILD=${LQOS_BUILD:-${ROOT%/root}}/tests/net
PATH=$PATH:/usr/sbin:/sbin

# shellcheck source=etc/lab.sh
. "$NET_TOP/etc/lab.sh"

# ---- TAP --------------------------------------------------------------------

PLANNED=0
DONE=0
FAILED=0

plan()
{
	PLANNED=$1
	echo "1..$1"
}

note()
{
	echo "$*" | sed 's/^/# /'
}

# result RC DESCRIPTION [DIAGNOSIS]
result()
{
	DONE=$((DONE + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $DONE - $2"
		return
	fi
	FAILED=$((FAILED + 1))
	echo "not ok $DONE - $2"
	[ -z "${3:-}" ] || note "$3"
}

# check DESCRIPTION COMMAND...
check()
{
	local description=$1 output rc

	shift
	output=$("$@" 2>&1)
	rc=$?
	result $rc "$description" "$* (exit status $rc): $output"
}

# is DESCRIPTION GOT WANTED
is()
{
	local rc=0

	[ "$2" = "$3" ] || rc=1
	result $rc "$1" "got \"$2\", expected \"$3\""
}

# like DESCRIPTION TEXT REGEX
like()
{
	local rc=0

	grep -Eq -- "$3" <<<"$2" || rc=1
	result $rc "$1" "nothing like /$3/ in: $2"
}

# near DESCRIPTION GOT WANTED [PERMILLE]: 10 per mille unless said.
near()
{
	local rc=0 off

	off=$(awk -v got="${2:-0}" -v want="${3:-0}" 'BEGIN {
		off = got - want
		printf "%.2f", off ? off / (want ? want : 0.001) * 1000 : 0 }')
	awk -v off="$off" -v most="${4:-10}" 'BEGIN {
		exit !(off <= most && off >= -most) }' || rc=1
	result $rc "$1" "got ${2:-nothing}, expected ${3:-nothing}: off by \
$off per mille, ${4:-10} allowed"
	[ $rc -ne 0 ] || note "${2:-0} of ${3:-0}: $off per mille"
}

# at_least DESCRIPTION GOT WANTED
at_least()
{
	local rc=0

	[ "${2:-0}" -ge "$3" ] 2>/dev/null || rc=1
	result $rc "$1" "got ${2:-nothing}, expected at least $3"
}

skip()
{
	DONE=$((DONE + 1))
	echo "ok $DONE - $1 # SKIP $2"
}

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 77
}

bail()
{
	echo "Bail out! $*"
	exit 1
}

# ---- The lab ----------------------------------------------------------------

# Runs however the suite ends.  Last of all: is anything left?
net_end()
{
	local rc=$?

	trap '' INT TERM HUP
	trap - EXIT
	if [ "$FAILED" -ne 0 ] && [ -s "$LAB_LOG" ]; then
		note "lqosd's log:"
		tail -n 40 "$LAB_LOG" | sed 's/^/#   /'
	fi
	lab_down
	is "nothing is left" "$(lab_left)" ""
	if [ "$DONE" -ne "$PLANNED" ]; then
		note "$DONE tests were run, $PLANNED were planned"
		rc=1
	fi
	[ "$FAILED" -eq 0 ] || rc=1
	exit $rc
}

# net_plan N: N tests, the last of which, "nothing is left", is done here.
net_plan()
{
	local tool

	[ "$(id -u)" -eq 0 ] || skip_all "not root"
	[ -x "$ROOT/sbin/lqosd" ] ||
		bail "LQOS_ROOT is \"$ROOT\": no sbin/lqosd in there"
	for tool in ip tc ethtool jq iperf3 nsenter setpriv ping python3; do
		command -v "$tool" >/dev/null || skip_all "no $tool"
	done
	plan "$1"
	trap net_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	LAB_START_TRIES=$((300 * SLOW))
	[ -z "$LQOS_SANITIZED" ] || LAB_START_TRIES=$((4 * LAB_START_TRIES))
	export LAB_START_TRIES
	lab_reap
	lab_names
}

# net_begin N: the same, and the lab.
net_begin()
{
	net_plan "$1"
	lab_up || bail "no lab"
}

# Who is not root gets maps only where nobody but root can pin them.
needs_closed_bpffs()
{
	local mode

	mode=$(stat -fc %T "$LAB_BPFFS" 2>/dev/null)
	[ "$mode" = bpf_fs ] || return 0
	mode=$(stat -c %a "$LAB_BPFFS")
	[ $((8#$mode & 8#22)) -eq 0 ] ||
		skip_all "$LAB_BPFFS is of mode $mode: try chmod 0700 $LAB_BPFFS"
}

# encapsulate_host subs|inet up|down: its interfaces put headers on what goes
# the one way, and take them off what comes.
encapsulate_host()
{
	local pins=$LAB_OWN_PINS/$1 way=$2 back=down run=lab_subs pair

	[ "$1" = subs ] || run=lab_inet back=up
	mkdir -p "$LAB_OWN_PINS" &&
		bpftool prog loadall "$NET_BUILD/encap.bpf.o" "$pins" \
			pinmaps "$pins" || return
	for ((pair = 0; pair < LAB_PAIRS; pair++)); do
		# Whether a neighbour is still there is asked while nobody looks.
		$run sysctl -qw "net.ipv6.neigh.eth$pair.delay_first_probe_time=600" ||
			return
		# TCP makes large ones even for an interface that has no GSO.
		$run ip link set "eth$pair" gso_max_segs 1 &&
			$run tc qdisc add dev "eth$pair" clsact &&
			$run tc filter add dev "eth$pair" egress bpf da \
				object-pinned "$pins/push_$way" &&
			$run ip link set "eth$pair" xdpdrv \
				pinned "$pins/pop_$back" || return
	done
}

# The hosts put headers on their packets; see encap.bpf.c.
encapsulate()
{
	encapsulate_host subs up || bail "no encapsulation by subscribers"
	encapsulate_host inet down || bail "no encapsulation by the internet"
}

# daemon [ARGUMENT...]
daemon()
{
	lab_start "$ROOT" "$@" && return
	[ ! -s "$LAB_LOG" ] || note "$(tail -n 20 "$LAB_LOG")"
	bail "no lqosd"
}

ctl()
{
	lab_ctl "$ROOT" "$@"
}

# A daemon that was built with sanitizers has found something.
sanitizer_reports()
{
	grep -E 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$LAB_LOG"
}

# ---- Traffic ----------------------------------------------------------------

PORT=5400
declare -A FLOW_PID FLOW_V6

# at_pace ARGUMENT...: of iperf3, into ARGUMENTS: -t times PACE, -b by it.
at_pace()
{
	local option= word

	ARGUMENTS=()
	for word; do
		case $option in
		-t) word=$((word * PACE)) ;;
		-b)
			case $word in
			*M) word=$((${word%M} * 1000 / PACE))K ;;
			*K) word=$((${word%K} / PACE))K ;;
			*) word=$((word / PACE)) ;;
			esac
			;;
		esac
		option=$word
		ARGUMENTS+=("$word")
	done
}

# flow NAME ADDRESS ARGUMENT...: one run of iperf3 in the background.
flow()
{
	local name=$1 address=$2

	shift 2
	PORT=$((PORT + 1))
	lab_server $PORT || bail "no iperf3 server"
	FLOW_V6[$name]=
	[[ $address != *:* ]] || FLOW_V6[$name]=6
	at_pace "$@"
	lab_iperf "$address" $PORT -J "${ARGUMENTS[@]}" >"$LAB_DIR/$name.json" &
	FLOW_PID[$name]=$!
}

# flows_end SECONDS: all are through, or are stopped.
flows_end()
{
	local name pid deadline=$((SECONDS + $1 * SLOW))

	for name in "${!FLOW_PID[@]}"; do
		pid=${FLOW_PID[$name]}
		while kill -0 "$pid" 2>/dev/null &&
			[ "$SECONDS" -lt "$deadline" ]; do
			sleep 0.1
		done
		kill "$pid" 2>/dev/null && note "$name did not end in $1 s"
		wait "$pid" 2>/dev/null
	done
	FLOW_PID=()
}

# flow_json NAME FILTER: what iperf3 says.
flow_json()
{
	jq -r "$2" "$LAB_DIR/$1.json" 2>/dev/null
}

# flow_bytes NAME down|up: bytes of the data's frames, by iperf3's account.
# TCP with timestamps has 66 bytes of headers a segment (IPv6: 86), UDP 42 (62).
flow_bytes()
{
	local v6=${FLOW_V6[$1]:-}

	jq -r --arg way "$2" --argjson v6 "${v6:-0}" '
	(if $v6 == 6 then 20 else 0 end) as $more |
	.start.test_start as $start |
	(if .end.sum_sent_bidir_reverse then
		if $way == "down" then "_bidir_reverse" else "" end
	elif ($start.reverse == 1) == ($way == "down") then ""
	else "none" end) as $which |
	.end["sum_sent" + $which] as $sent |
	.end["sum_received" + $which] as $got |
	if $which == "none" then 0
	elif $start.protocol == "UDP" then
		$sent.bytes + $sent.packets * (42 + $more)
	else
		$got.bytes * 1514 / (1448 - $more) | floor
	end' "$LAB_DIR/$1.json" 2>/dev/null
}

# ---- In the background ------------------------------------------------------

RTT_TRAFFIC=$NET_HERE/rtt_traffic.py
TRACES=() # pids of tcpdump

# Of what runs in the background the pid is to be its own, no subshell's.
in_background()
{
	local ns=$1

	shift
	setsid setpriv --pdeathsig TERM nsenter --net="/run/netns/$ns" -- "$@" \
		</dev/null &
}

# grows FILE REGEX PID: until it is in there.
grows()
{
	local i

	for ((i = 0; i < 100 * SLOW; i++)); do
		grep -q "$2" "$1" && return
		kill -0 "$3" 2>/dev/null || break
		sleep 0.05
	done
	bail "no \"$2\" in $1: $(tail -n 3 "$1")"
}

# trace SIDE: all that arrives at the shaper's interface.
trace()
{
	in_background "$LAB_NS_SHAPER" tcpdump -i "$1" -Q in -Z root -s 128 \
		-B 16384 --time-stamp-precision=nano -w "$LAB_DIR/$1.pcap" \
		'tcp or udp or icmp or icmp6' 2>"$LAB_DIR/$1.err"
	TRACES+=($!)
	grows "$LAB_DIR/$1.err" "listening on" $!
}

# end PID...
end()
{
	kill "$@" 2>/dev/null
	{ wait "$@"; } 2>/dev/null
}

# rtt_server: of rtt_traffic.py's clients, on the internet's addresses.
rtt_server()
{
	in_background "$LAB_NS_INET" python3 -B "$RTT_TRAFFIC" server \
		"$LAB_INET4" "$LAB_INET6" >"$LAB_DIR/server.out" 2>&1
	grows "$LAB_DIR/server.out" ready $!
}

# ---- What lqosd says --------------------------------------------------------

# Two ticks, each of which is a frame behind the one that there is: what has been
# sent is in the last.
settle()
{
	timeout $((30 * SLOW)) "$ROOT/bin/lqtop" -S "$LAB_BUS" -b -n 3 -l 1 \
		-o json >"$LAB_DIR/ticks.json" || sleep 2.2
}

# A frame of lqtop with all columns, into LAB_DIR/frame.json.
take_frame()
{
	timeout $((30 * SLOW)) "$ROOT/bin/lqtop" -S "$LAB_BUS" -b -n 1 -a \
		-l 1000 -o json >"$LAB_DIR/frame.json"
}

# cell CIRCUIT COLUMN [rates]: of the frame, its value or rate; circuit "" is all
# unknown hosts.
cell()
{
	jq -r --arg circuit "$1" --arg column "$2" --arg what "${3:-values}" '
	.data.subscribers as $s |
	($s.columns | map(.name) | index($column)) as $i |
	[$s.rows[] | select(.circuit_id == $circuit) | .[$what][$i]][0] // 0' \
		"$LAB_DIR/frame.json"
}

# global COLUMN: the sum over all, of the frame.
global()
{
	jq -r --arg column "$1" '.data.global |
		(.columns | map(.name) | index($column)) as $i |
		.values[$i] // 0' "$LAB_DIR/frame.json"
}

# planned CIRCUIT KEY: of steering.tree, which was saved as LAB_DIR/tree.json.
planned()
{
	jq -r --arg circuit "$1" --arg key "$2" \
		'.circuits[] | select(.circuit_id == $circuit) | .[$key]' \
		"$LAB_DIR/tree.json"
}

make_htb()
{
	lab_htb "$ROOT" || bail "no HTB tree"
	ctl -j call steering.tree >"$LAB_DIR/tree.json"
}

# class_numbers DEVICE CLASS bytes|packets|drops: of what an HTB class sent.
class_numbers()
{
	lab_shaper tc -s class show dev "$1" |
		awk -v class="$2" -v n="$3" '
		/^class/ { mine = $2 == "htb" && $3 == class }
		mine && $1 == "Sent" {
			gsub(/[(,]/, "")
			print n == "bytes" ? $2 : n == "packets" ? $4 : $7
		}'
}

class_bytes()
{
	class_numbers "$1" "$2" bytes
}

class_drops()
{
	class_numbers "$1" "$2" drops
}

# sent_by subs|inet: bytes of all frames that a side has sent to the shaper.  A
# veth whose peer has NAPI counts them without their Ethernet header.
sent_by()
{
	local ns=$LAB_NS_SUBS

	[ "$1" = subs ] || ns=$LAB_NS_INET
	ip -n "$ns" -s -j link show dev eth0 |
		jq '.[0].stats64.tx | .bytes + .packets * 14'
}
