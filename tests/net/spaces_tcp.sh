#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Address spaces with real TCP: the same address in two VLANs is two subscribers, who are
# counted and shaped each for himself, and a third has it in all other VLANs.

# shellcheck disable=SC2034 # LAB_* are for lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LAB_MTU=1550
LAB_SWITCH=$NET_BUILD/switch.bpf.o
NET4=100.66.0.1
NET6=2001:db8:66::1

# devices VLAN...: a circuit for each, with NET4 and NET6, and one without.
devices()
{
	local vlan

	sed -n '/^Circuit ID/p' "$LAB_HERE/ShapedDevices.csv"
	for vlan; do
		echo "vlan$vlan,,d$vlan,,,,,,$NET4%$vlan,$NET6%$vlan,1,1,400,400,"
	done
	echo "other,,d,,,,,,$NET4,$NET6,1,1,400,400,"
}

# network TOPOLOGY PAIRS VLAN...: the lab with those subscribers.
network()
{
	lab_down
	LAB_TOPOLOGY=$1
	LAB_PAIRS=$2
	shift 2
	mkdir -p "$LAB_DIR" || bail "no $LAB_DIR"
	devices "$@" >"$LAB_DIR/devices"
	echo '{}' >"$LAB_DIR/nodes"
	lab_up "$LAB_DIR/devices" || bail "no lab"
	encapsulate
}

start()
{
	lab_ini "shaped_devices=$LAB_DIR/devices" \
		"network_json=$LAB_DIR/nodes" address_spaces=yes "$@" ||
		bail "no ini"
	: >"$LAB_LOG"
	daemon
	make_htb
	lab_settled || bail "no connection"
}

# stream NAME PORT ADDRESS SERVER DEVICE BYTES ARGUMENT...: one way, with a
# server that answers by that device only.
stream()
{
	local name=$1 port=$2 address=$3 server=$4 dev=$5 bytes=$6 i

	shift 6
	setsid setpriv --pdeathsig KILL \
		nsenter --net="/run/netns/$LAB_NS_INET" -- iperf3 -s -1 \
		-p "$port" --bind-dev "$dev" </dev/null >/dev/null 2>&1 &
	disown
	for ((i = 0; i < 100; i++)); do
		lab_is_port_open "$port" && break
		sleep 0.05
	done
	lab_subs iperf3 -c "$server" -B "$address" -p "$port" -n "$bytes" -J \
		"$@" >"$LAB_DIR/$name.json" ||
		note "$name: $(jq -r .error "$LAB_DIR/$name.json")"
}

# downloads CIRCUIT PORT SERVER4 SERVER6 DEVICE BYTES4 BYTES6
downloads()
{
	stream "$1.4" "$2" $NET4 "$3" "$5" "$6" -R
	stream "$1.6" "$2" $NET6 "$4" "$5" "$7" -R
}

# More than arrived: some was on its way when iperf3 had enough.
sent()
{
	flow_json "$1" .end.sum_sent.bytes
}

# judge WHAT CIRCUIT...: 3 tests for each.
judge()
{
	local what=$1 circuit class dev

	shift
	settle
	take_frame
	for circuit; do
		class=$(planned "$circuit" class)
		dev=subs
		[ "$LAB_TOPOLOGY" != stick ] || dev=trunk
		near "$what, $circuit: counted as iperf3 does" \
			"$(cell "$circuit" throughput.down.bytes)" \
			$(($(sent "$circuit.4") * 1514 / 1448 +
				$(sent "$circuit.6") * 1514 / 1428))
		at_least "$what, $circuit: uploads are its too" \
			"$(cell "$circuit" throughput.up.packets)" 100
		is "$what, $circuit: in its class" \
			"$(class_numbers $dev "$class" packets)" \
			"$(cell "$circuit" throughput.down.packets)"
	done
	lab_stop
	is "$what, lqosd ends with status 0" $? 0
	is "$what, no sanitizer reports" "$(sanitizer_reports)" ""
}

# tagged WHAT SETTING...: the hosts tag by port; 11 tests.
tagged()
{
	local what=$1

	shift
	start "$@"
	downloads vlan200 7200 $LAB_INET4 $LAB_INET6 eth0 3000000 2000000
	downloads vlan201 7201 $LAB_INET4 $LAB_INET6 eth0 1000000 3000000
	downloads other 7202 $LAB_INET4 $LAB_INET6 eth0 2000000 1000000
	judge "$what" vlan200 vlan201 other
	lab_shaper tc qdisc del dev subs root
	lab_shaper tc qdisc del dev inet root
}

net_plan 31
network linux 1 200 201
tagged "Linux bridge"
tagged "Linux bridge, no metadata" metadata=off

# The same address behind both pairs of VLANs; the servers' answers go where
# their sockets are bound to.
network stick 2 20 21
lab_subs ip address add $NET6/128 dev eth1 nodad
lab_inet ip route add $NET4/32 dev eth0
lab_inet ip route add $NET4/32 dev eth1 metric 10
lab_inet ip route add $NET6/128 dev eth0 metric 1
lab_inet ip route add $NET6/128 dev eth1 metric 10
start
downloads vlan20 7100 $LAB_INET4 $LAB_INET6 eth0 3000000 2000000
downloads vlan21 7101 198.51.101.1 2001:db8:fffd::1 eth1 1000000 3000000
judge "On a stick" vlan20 vlan21
