# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A laboratory on one machine: subscribers, a shaper and an internet, each in a
# network namespace of its own, in a row:
#
#	subs:eth0 ===== shaper:subs -- br0 -- shaper:inet ===== inet:eth0
#
# LAB_PAIRS=2 has the same once more, eth1, subs1, br1, inet1, with networks of
# its own.  LAB_TOPOLOGY says what the shaper is:
#
#	linux	as above: bridges of the kernel
#	xdp	no bridge: lqosd forwards
#	stick	one interface, trunk, to a switch (one more namespace) whose
#		access ports put each side of each pair into a VLAN of its own
#
# This file is sourced; `set -u` is fine.  All names carry the pid and start
# time of the process that made the lab, so that any number of labs live side by
# side and what a killed one left can be told from what is in use.  Nothing
# outside of the three namespaces, LAB_DIR and LAB_PINS is touched.
#
# Functions return non-zero on failure and say why on stderr.

LAB_NAME=lqos_lab
LAB_RUN=/run
LAB_BPFFS=/sys/fs/bpf
LAB_LINE=10000000000 # bit/s that the tree's roots are good for
LAB_TICK=${LAB_TICK:-:} # called while something is waited for
LAB_TOPOLOGY=${LAB_TOPOLOGY:-linux}
LAB_PAIRS=${LAB_PAIRS:-1}
LAB_MTU=${LAB_MTU:-1500} # of the links; hosts send at most 1500
LAB_LEAF=${LAB_LEAF:-} # the qdisc of a circuit; else the best that there is
LAB_SWITCH=${LAB_SWITCH:-} # the BPF object of a stick's switch
LAB_UNDER=() # a command that runs lqosd, as in env A=B
LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1

lab_say()
{
	echo "lab: $*" >&2
}

# ---- Names ------------------------------------------------------------------

# Field 22 of stat, counted behind the command, which may contain anything.
lab_start_time()
{
	local stat

	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- $stat
	echo "${20}"
}

# lab_names [ID]: what a lab is called; ID is PID_STARTTIME, by default ours.
lab_names()
{
	LAB_ID=${1:-$$_$(lab_start_time $$)}
	LAB_NS_SUBS=${LAB_NAME}_${LAB_ID}_subs
	LAB_NS_SHAPER=${LAB_NAME}_${LAB_ID}_shaper
	LAB_NS_INET=${LAB_NAME}_${LAB_ID}_inet
	LAB_NS_SWITCH=${LAB_NAME}_${LAB_ID}_switch
	LAB_DIR=$LAB_RUN/${LAB_NAME}_$LAB_ID  # all files of the lab
	LAB_PINS=$LAB_BPFFS/${LAB_NAME}_$LAB_ID # lqosd's pin_dir
	LAB_OWN_PINS=${LAB_PINS}_own # of the lab's programs
	LAB_INI=$LAB_DIR/lqos.ini
	LAB_LOG=$LAB_DIR/lqosd.log
	LAB_BUS=$LAB_DIR/run/bus
	LAB_DAEMON=
}

LAB_INET4=198.51.100.1
LAB_INET6=2001:db8:ffff::1
# Hosts behind the shaper that are no subscriber's.
LAB_UNKNOWN4=100.64.255.1
LAB_UNKNOWN6=2001:db8:fffe::1
# By pair: the servers' networks and, with the route that leads back to them,
# the subscribers'; in the second pair these are all subscribers in there.
LAB_SERVERS4=(198.51.100.0/24 198.51.101.0/24)
LAB_SERVERS6=(2001:db8:ffff::/64 2001:db8:fffd::/64)
LAB_CLIENTS4=(100.64.0.0/10 100.65.0.0/16)
LAB_CLIENTS6=(2001:db8::/32 2001:db8:65::/48)
LAB_SECOND='^(100[.]65[.]|2001:db8:65:)'
# By pair: the VLANs of a stick.
LAB_VLANS_INET=(10 11)
LAB_VLANS_SUBS=(20 21)

# `ip netns exec` would hide the BPF file system behind a fresh /sys.
lab_subs()
{
	nsenter --net="/run/netns/$LAB_NS_SUBS" -- "$@"
}

lab_shaper()
{
	nsenter --net="/run/netns/$LAB_NS_SHAPER" -- "$@"
}

lab_inet()
{
	nsenter --net="/run/netns/$LAB_NS_INET" -- "$@"
}

# ---- Subscribers ------------------------------------------------------------

# lab_addresses CSV: "CIRCUIT ADDRESS" of each row; of a prefix its first host,
# without the VLAN that it may be in.
lab_addresses()
{
	awk '
	function fields(line,    n, i, c, quoted)
	{
		split("", f)
		n = 1
		for (i = 1; i <= length(line); i++) {
			c = substr(line, i, 1)
			if (c == "\"")
				quoted = !quoted
			else if (c == "," && !quoted)
				n++
			else
				f[n] = f[n] c
		}
	}
	function host(prefix,    part, n, octet)
	{
		sub(/%[0-9]+/, "", prefix)
		n = split(prefix, part, "/")
		if (n == 1)
			return prefix
		if (part[1] ~ /::$/)
			return part[1] "1"
		if (part[1] ~ /:/ || part[2] == 32)
			return part[1]
		split(part[1], octet, ".")
		return octet[1] "." octet[2] "." octet[3] "." octet[4] + 1
	}
	/^#/ || /^Circuit ID/ { next }
	{
		fields($0)
		n = split(f[9] "," f[10], a, ",")
		for (i = 1; i <= n; i++) {
			gsub(/[ \t\r]/, "", a[i])
			if (a[i] != "")
				print f[1], host(a[i])
		}
	}' "$1"
}

# ---- Up ---------------------------------------------------------------------

lab_cpus()
{
	getconf _NPROCESSORS_ONLN
}

# lab_veth PORT NS DEVICE PEER_NS QUEUES: frames as long as on a wire, with
# checksums and their tags: XDP sees them as they are, and cpumap loses the mark
# of what is to be filled in later.
lab_veth()
{
	local port=$1 ns=$2 dev=$3 peer=$4 n=$5

	ip -n "$ns" link add "$port" mtu "$LAB_MTU" \
		numtxqueues "$n" numrxqueues "$n" type veth peer name "$dev" \
		mtu "$LAB_MTU" netns "$peer" \
		numtxqueues "$n" numrxqueues "$n" || return
	nsenter --net="/run/netns/$peer" -- ethtool -K "$dev" tx off tso off \
		gso off sg off txvlan off tx-vlan-stag-hw-insert off \
		>/dev/null || return
	nsenter --net="/run/netns/$ns" -- ethtool -K "$port" gro on \
		txvlan off tx-vlan-stag-hw-insert off >/dev/null || return
	nsenter --net="/run/netns/$ns" -- sysctl -qw \
		"net.ipv6.conf.$port.disable_ipv6=1"
}

# lab_side PORT NS NET4 NET6 [DEVICE]: one side, its addresses from stdin.
lab_side()
{
	local port=$1 ns=$2 net4=$3 net6=$4 dev=${5:-eth0} ports ip

	ports=$LAB_NS_SHAPER
	[ "$LAB_TOPOLOGY" != stick ] || ports=$LAB_NS_SWITCH
	lab_veth "$port" "$ports" "$dev" "$ns" "$(lab_cpus)" || return
	nsenter --net="/run/netns/$ns" -- sysctl -qw \
		net.ipv6.conf.all.accept_dad=0 \
		"net.ipv6.conf.$dev.accept_dad=0" \
		"net.ipv6.conf.$dev.router_solicitations=0" \
		net.ipv4.conf.all.rp_filter=0 \
		"net.ipv4.conf.$dev.rp_filter=0" || return
	{
		while read -r ip; do
			[ -z "$ip" ] || echo "address add $ip dev $dev"
		done
		echo "link set lo up"
		echo "link set $dev up"
		echo "route add $net4 dev $dev mtu 1500"
		echo "route add $net6 dev $dev mtu 1500"
	} | ip -n "$ns" -batch - || return
	ip -n "$ports" link set "$port" up || return
	[ "$LAB_TOPOLOGY" = linux ] || return 0
	# Frames that end at a bridge (LACP, LLDP and the like) pass this one.
	ip -n "$ports" link set "$port" master "br${dev#eth}" &&
		ip -n "$ports" link set "$port" type bridge_slave \
			group_fwd_mask 0xfffc
}

lab_bridge()
{
	local name=$1

	ip -n "$LAB_NS_SHAPER" link add "$name" type bridge stp_state 0 \
		forward_delay 0 mcast_snooping 0 || return
	ip -n "$LAB_NS_SHAPER" link set "$name" up || return
	if lab_shaper test -e /proc/sys/net/bridge; then
		lab_shaper sysctl -qw net.bridge.bridge-nf-call-iptables=0 \
			net.bridge.bridge-nf-call-ip6tables=0 \
			net.bridge.bridge-nf-call-arptables=0
	fi
}

lab_switch()
{
	nsenter --net="/run/netns/$LAB_NS_SWITCH" -- "$@"
}

# lab_le32 NUMBER: for bpftool.
lab_le32()
{
	echo $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) \
		$(($1 >> 24 & 255))
}

# lab_port_vlan PORT VID: what a row of the switch's table says (bpftool).
lab_port_vlan()
{
	local index

	index=$(ip -n "$LAB_NS_SWITCH" -j link show dev "$1" |
		jq '.[0].ifindex') || return
	echo "map update pinned $LAB_OWN_PINS/switch_ports" \
		"key $(lab_le32 "$2") value $(lab_le32 "$index")"
	echo "map update pinned $LAB_OWN_PINS/switch_vlans" \
		"key $(lab_le32 "$index") value $(lab_le32 "$2")"
}

# Of the trunk both ends have two queues a CPU: one for each direction.
lab_stick()
{
	local pair suffix port

	lab_veth trunk "$LAB_NS_SHAPER" trunk "$LAB_NS_SWITCH" \
		$((2 * $(lab_cpus))) || return
	ip -n "$LAB_NS_SHAPER" link set trunk up || return
	ip -n "$LAB_NS_SWITCH" link set trunk up || return
	bpftool prog loadall "$LAB_SWITCH" "$LAB_OWN_PINS" \
		pinmaps "$LAB_OWN_PINS" || return
	{
		lab_port_vlan trunk 0
		for ((pair = 0; pair < LAB_PAIRS; pair++)); do
			suffix=${pair#0}
			lab_port_vlan "inet$suffix" "${LAB_VLANS_INET[pair]}"
			lab_port_vlan "subs$suffix" "${LAB_VLANS_SUBS[pair]}"
		done
	} >"$LAB_DIR/switch.batch" || return
	bpftool batch file "$LAB_DIR/switch.batch" >/dev/null || return
	lab_switch tc qdisc add dev trunk clsact &&
		lab_switch tc filter add dev trunk ingress bpf da \
			object-pinned "$LAB_OWN_PINS/from_trunk" || return
	for ((pair = 0; pair < LAB_PAIRS; pair++)); do
		for port in "inet${pair#0}" "subs${pair#0}"; do
			lab_switch ip link set "$port" xdpdrv pinned \
				"$LAB_OWN_PINS/from_host" || return
		done
	done
}

# lab_hosts CSV PAIR: "ADDRESS/LENGTH [nodad]" of the subscribers in a pair, and
# of hosts that are no subscriber's in the first.
lab_hosts()
{
	{
		lab_addresses "$1" || return
		echo "- $LAB_UNKNOWN4"
		echo "- $LAB_UNKNOWN6"
	} | awk -v pair="$2" -v pairs="$LAB_PAIRS" -v second="$LAB_SECOND" '
	!seen[$2]++ && (pairs == 1 || ($2 ~ second) == pair) {
		print $2 "/" ($2 ~ /:/ ? "128 nodad" : "32") }'
}

lab_pair()
{
	local pair=$1 csv=$2 number=${1#0} dev=eth$1 hosts

	[ "$LAB_TOPOLOGY" != linux ] || lab_bridge "br$pair" || return
	hosts=$(lab_hosts "$csv" "$pair") || return
	lab_side "subs$number" "$LAB_NS_SUBS" "${LAB_SERVERS4[pair]}" \
		"${LAB_SERVERS6[pair]}" "$dev" <<<"$hosts" || return
	hosts="${LAB_SERVERS4[pair]/.0\//.1/}
${LAB_SERVERS6[pair]/::\//::1/} nodad"
	lab_side "inet$number" "$LAB_NS_INET" "${LAB_CLIENTS4[pair]}" \
		"${LAB_CLIENTS6[pair]}" "$dev" <<<"$hosts"
}

# lab_up [CSV]: makes the lab, with every address of the file on its hosts.
lab_up()
{
	local csv=${1:-$LAB_HERE/ShapedDevices.csv} ns pair namespaces

	[ -n "${LAB_ID:-}" ] || lab_names
	mkdir -p "$LAB_DIR" || return
	namespaces=("$LAB_NS_SUBS" "$LAB_NS_SHAPER" "$LAB_NS_INET")
	[ "$LAB_TOPOLOGY" != stick ] || namespaces+=("$LAB_NS_SWITCH")
	for ns in "${namespaces[@]}"; do
		ip netns add "$ns" || return
	done
	lab_shaper sysctl -qw net.ipv6.conf.default.disable_ipv6=1 \
		net.ipv6.conf.all.disable_ipv6=1 || return
	for ((pair = 0; pair < LAB_PAIRS; pair++)); do
		lab_pair "$pair" "$csv" || return
	done
	case $LAB_TOPOLOGY in
	linux) lab_settled ;; # the others forward when lqosd runs
	stick) lab_stick ;;
	esac
}

# Both ways through the bridge; learns all hardware addresses on the way.
lab_settled()
{
	local try

	for try in {1..20}; do
		lab_subs ping -q -n -c 1 -W 1 -I "$LAB_UNKNOWN4" \
			"$LAB_INET4" >/dev/null 2>&1 &&
			lab_subs ping -q -n -c 1 -W 1 -I "$LAB_UNKNOWN6" \
				"$LAB_INET6" >/dev/null 2>&1 && return
		sleep 0.1
		$LAB_TICK
	done
	lab_say "no ping through the bridge after $try tries"
	return 1
}

# ---- lqosd in the lab -------------------------------------------------------

# lab_interfaces: the lab's topology as settings of [lqosd].
lab_interfaces()
{
	local inet=inet subs=subs pair vlans=

	for ((pair = 0; pair < LAB_PAIRS; pair++)); do
		[ $pair = 0 ] || inet+=,inet$pair subs+=,subs$pair
		vlans+=${vlans:+,}${LAB_VLANS_INET[pair]}:${LAB_VLANS_SUBS[pair]}
	done
	case $LAB_TOPOLOGY in
	linux) echo "to_internet=$inet to_subscribers=$subs" ;;
	xdp) echo "to_internet=$inet to_subscribers=$subs bridge=xdp" ;;
	stick) echo "to_internet=trunk to_subscribers=trunk vlans=$vlans" ;;
	esac
}

# lab_ini KEY=VALUE...: LAB_INI, the sample with those keys of [lqosd] set.
lab_ini()
{
	local pair key ini

	ini=$(<"$LAB_HERE/lqos.ini") || return
	# shellcheck disable=SC2046
	for pair in $(lab_interfaces) \
		"shaped_devices=$LAB_HERE/ShapedDevices.csv" \
		"network_json=$LAB_HERE/network.json" \
		"run_dir=$LAB_DIR/run" "pin_dir=$LAB_PINS" "$@"; do
		key=${pair%%=*}
		if ! grep -q "^#\?$key =" <<<"$ini"; then
			lab_say "$LAB_HERE/lqos.ini has no line \"$key =\""
			return 1
		fi
		ini=$(sed "s|^#\?$key =.*|$key = ${pair#*=}|" <<<"$ini")
	done
	echo "$ini" >"$LAB_INI"
}

# lab_ctl ROOT ARGUMENT...: lqosctl of the lab's daemon.
lab_ctl()
{
	local root=$1

	shift
	"$root/bin/lqosctl" -S "$LAB_BUS" "$@"
}

# lab_spawn ROOT [ARGUMENT...]: runs lqosd; its pid goes into LAB_DAEMON, what it
# says to LAB_LOG.
lab_spawn()
{
	local root=$1

	shift
	# Dies with us, but of TERM: it then cleans up after itself.
	setsid setpriv --pdeathsig TERM \
		nsenter --net="/run/netns/$LAB_NS_SHAPER" -- \
		"${LAB_UNDER[@]}" "$root/sbin/lqosd" -c "$LAB_INI" "$@" \
		</dev/null >>"$LAB_LOG" 2>&1 &
	LAB_DAEMON=$!
}

# lab_answers ROOT: waits until the lqosd that was spawned answers.
lab_answers()
{
	local root=$1 i tries=${LAB_START_TRIES:-300}

	for ((i = 0; i < tries; i++)); do
		lab_ctl "$root" -j status >/dev/null 2>&1 && return
		if ! kill -0 "$LAB_DAEMON" 2>/dev/null; then
			wait "$LAB_DAEMON"
			i=$?
			LAB_DAEMON=
			lab_say "lqosd ended at once (exit status $i)," \
				"see $LAB_LOG"
			return 1
		fi
		sleep 0.1
		$LAB_TICK
	done
	lab_say "lqosd (pid $LAB_DAEMON) does not answer at $LAB_BUS after" \
		"$((tries / 10)) s, see $LAB_LOG"
	return 1
}

# lab_start ROOT [ARGUMENT...]: runs lqosd, and waits until it answers.
lab_start()
{
	lab_spawn "$@" && lab_answers "$1"
}

# lab_stop [SIGNAL]: ends lqosd; returns its exit status.
lab_stop()
{
	local pid=$LAB_DAEMON

	[ -n "$pid" ] || return 0
	LAB_DAEMON=
	kill -s "${1:-TERM}" "$pid" 2>/dev/null
	{ wait "$pid"; } 2>/dev/null
}

# ---- Shaping ----------------------------------------------------------------

# The best qdisc that this kernel has for a circuit; none: HTB's own FIFO.
lab_leaf()
{
	local leaf

	for leaf in ${LAB_LEAF:-cake fq_codel}; do
		lab_shaper tc qdisc add dev lo root $leaf 2>/dev/null || continue
		lab_shaper tc qdisc del dev lo root
		echo $leaf
		return
	done
}

# lab_tree DEVICE DIRECTION LEAF FIRST: steering.tree, on stdin, as a batch for
# tc.  DIRECTION is down or up; a rate of 0 is none; FIRST is how many queues of
# the device belong to the other direction.
lab_tree()
{
	jq -r --arg dev "$1" --arg way "$2" --arg leaf "$3" \
		--argjson first "$4" --argjson line "$LAB_LINE" '
	def hex: if . < 16 then "0123456789abcdef"[.:. + 1]
		else (. / 16 | floor | hex) + (. % 16 | hex) end;
	def number: reduce explode[] as $c (0; . * 16 + $c -
		if $c < 58 then 48 else 87 end);
	def here: split(":") | "\((.[0] | number) + $first | hex):\(.[1])";
	def rate: if . > 0 then . else $line end;
	def class($id; $parent; $min; $max):
		"class add dev \($dev) parent \($parent) classid \($id) htb" +
		" rate \([$min, $max] | min)bit ceil \($max)bit quantum 3028";
	if $first == 0 then "qdisc add dev \($dev) root handle 7fff: mq"
	else empty end,
	(.queues[] | (.queue + $first | hex) as $q |
		"qdisc add dev \($dev) parent 7fff:\($q) handle \($q): htb" +
			" default 2",
		class("\($q):1"; "\($q):"; $line; $line),
		class("\($q):2"; "\($q):1"; $line / 10; $line)),
	(.nodes[] | (.[$way + "_max"] | rate) as $max |
		class(.class | here; .parent | here; $max; $max)),
	(.circuits[] | (.[$way + "_max"] | rate) as $max |
		(.[$way + "_min"] | rate) as $min |
		class(.class | here; .parent | here; $min; $max),
		if $leaf != "" then
			"qdisc add dev \($dev) parent \(.class | here) \($leaf)"
		else empty end)'
}

# lab_sides FIRST_UP: "DEVICE DIRECTION FIRST" of each tree (see lab_tree).
lab_sides()
{
	local pair

	if [ "$LAB_TOPOLOGY" = stick ]; then
		echo trunk down 0
		echo trunk up "$1"
		return
	fi
	for ((pair = 0; pair < LAB_PAIRS; pair++)); do
		echo "subs${pair#0}" down 0
		echo "inet${pair#0}" up 0
	done
}

# lab_htb ROOT: the daemon's tree as mq and HTB on all sides of the shaper.
lab_htb()
{
	local tree leaf dev way first

	tree=$(lab_ctl "$1" -j call steering.tree) || return
	leaf=$(lab_leaf)
	while read -r dev way first; do
		lab_tree "$dev" "$way" "$leaf" "$first" <<<"$tree" \
			>"$LAB_DIR/tc.batch" || return
		lab_shaper tc -batch "$LAB_DIR/tc.batch" || return
	done < <(lab_sides "$(jq .up_offset <<<"$tree")")
}

# ---- Traffic ----------------------------------------------------------------

lab_is_port_open()
{
	[ -n "$(lab_inet ss -Hltn "sport = :$1")" ]
}

# lab_server PORT: an iperf3 server in the internet, ready when this returns.
lab_server()
{
	local i

	setsid setpriv --pdeathsig KILL \
		nsenter --net="/run/netns/$LAB_NS_INET" -- \
		iperf3 -s -p "$1" </dev/null >/dev/null 2>&1 &
	disown # bash is not to tell of its end
	for ((i = 0; i < 100; i++)); do
		lab_is_port_open "$1" && return
		sleep 0.05
		$LAB_TICK
	done
	lab_say "no iperf3 server on port $1 after 5 s"
	return 1
}

lab_server_for()
{
	case $1 in
	*:*) echo "$LAB_INET6" ;;
	*) echo "$LAB_INET4" ;;
	esac
}

# lab_iperf ADDRESS PORT ARGUMENT...: one run from a subscriber's address.
lab_iperf()
{
	local address=$1 port=$2

	shift 2
	lab_subs iperf3 -c "$(lab_server_for "$address")" -B "$address" \
		-p "$port" "$@"
}

# lab_flow ADDRESS PORT SECONDS ARGUMENT...: runs without end, each of SECONDS;
# both the loop and what it runs end with the process that started it.
lab_flow()
{
	local address=$1 port=$2 seconds=$3

	shift 3
	lab_server "$port" || return
	# shellcheck disable=SC2016
	setsid setpriv --pdeathsig KILL \
		nsenter --net="/run/netns/$LAB_NS_SUBS" -- bash -c '
		while :; do
			setpriv --pdeathsig KILL iperf3 "$@"
			sleep 0.5
		done' flow -c "$(lab_server_for "$address")" -B "$address" \
		-p "$port" -t "$seconds" "$@" </dev/null >/dev/null 2>&1 &
	disown
}

# lab_traffic: a bit of everything from each circuit of the sample file, for as
# long as the caller lives.  Some want more than their plan has.
lab_traffic()
{
	local port=5201 address arguments

	while read -r address arguments; do
		# shellcheck disable=SC2086
		lab_flow "$address" $((port++)) 20 $arguments || return
	done <<-END
		100.64.1.1 -b 12M -R
		2001:db8:1002::1 -b 6M -R
		100.64.1.3 -b 16M --bidir
		100.64.1.4 -u -b 4M
		2001:db8:1005::1 -u -b 5M -R
		100.64.2.2 -b 9M -R
		100.64.2.3 -R
		2001:db8:20::1 -b 14M --bidir
		100.64.3.1 -u -b 2M -R
		100.64.3.2 -u -b 1M --bidir
		2001:db8:1011::1 -b 3M -R
		100.64.4.1 -b 8M
		2001:db8:1013::1 -b 4M -R
		100.64.4.33 -u -b 10M -R
		100.64.5.1 -b 2M -R
		2001:db8:1016::1 -b 11M --bidir
		100.64.5.3 -u -b 1500K -R
		100.64.6.1 -b 5M -R
		100.64.6.2 --bidir
		2001:db8:1020:100::1 -u -b 7M --bidir
	END
}

# ---- Down -------------------------------------------------------------------

lab_namespaces()
{
	local ns

	for ns in "$LAB_NS_SUBS" "$LAB_NS_SHAPER" "$LAB_NS_INET" \
		"$LAB_NS_SWITCH"; do
		[ -e "/run/netns/$ns" ] && echo "$ns"
	done
}

# Processes in the lab's namespaces, whoever started them.
lab_processes()
{
	local ns

	for ns in $(lab_namespaces); do
		ip netns pids "$ns" 2>/dev/null
	done
}

# lab_left: what there is of a lab, a line each; none: it is gone.
lab_left()
{
	local pid ns pins

	for pid in $(lab_processes); do
		echo "process $pid ($(tr '\0' ' ' 2>/dev/null \
			<"/proc/$pid/cmdline"))"
	done
	for ns in $(lab_namespaces); do
		echo "network namespace $ns"
	done
	for pins in "$LAB_PINS" "$LAB_OWN_PINS"; do
		[ -e "$pins" ] && echo "pins in $pins"
	done
	[ -e "$LAB_DIR" ] && echo "files in $LAB_DIR"
	return 0
}

# Signals all processes of the lab, and waits up to N tenths of a second.
lab_end_processes()
{
	local signal=$1 n=$2 i pids

	for ((i = 0; i < n; i++)); do
		pids=$(lab_processes)
		[ -n "$pids" ] || return
		# shellcheck disable=SC2086
		[ "$i" -gt 0 ] || kill -s "$signal" $pids 2>/dev/null
		sleep 0.1
		$LAB_TICK
	done
}

# lab_down: removes all there is of the lab, however far it got, and as often
# as it is called.  The daemon gets 5 s to clean up by itself.
lab_down()
{
	local ns

	[ -n "${LAB_ID:-}" ] || return 0
	lab_end_processes TERM 50
	lab_end_processes KILL 20
	{ [ -z "$LAB_DAEMON" ] || wait "$LAB_DAEMON"; } 2>/dev/null
	LAB_DAEMON=
	for ns in $(lab_namespaces); do
		ip netns del "$ns"
	done
	# In a BPF file system there are only pins and directories.
	rm -rf "$LAB_PINS" "$LAB_OWN_PINS"
	[ ! -e "$LAB_DIR" ] || rm -rf "$LAB_DIR"
	[ -z "$(lab_left)" ]
}

# lab_reap: removes what labs left whose owners are dead; names each.
lab_reap()
{
	local ids id pid

	ids=$(for id in "$LAB_RUN/${LAB_NAME}_"* "$LAB_BPFFS/${LAB_NAME}_"* \
		"/run/netns/${LAB_NAME}_"*; do
		basename "$id"
	done | sed -n "s/^${LAB_NAME}_\([0-9]\+_[0-9]\+\)\(_.*\)\?$/\1/p" |
		sort -u)
	for id in $ids; do
		pid=${id%_*}
		[ "$(lab_start_time "$pid")" != "${id#*_}" ] || continue
		lab_say "removing what a dead run (pid $pid) left"
		(
			lab_names "$id"
			lab_down
		) || return
	done
}
