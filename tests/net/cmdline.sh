#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# xdp_iphash_to_cpu_cmdline against a real lqosd, byte for byte.  The hashes of
# the ids were made with Rust's DefaultHasher.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TOOL=$ROOT/bin/xdp_iphash_to_cpu_cmdline

network()
{
	cat >"$LAB_DIR/few.json" <<-END
		{"Site": {"downloadBandwidthMbps": 100, "uploadBandwidthMbps": 100}}
	END
	cat >"$LAB_DIR/few.csv" <<-END
		Circuit ID,Circuit Name,Device ID,Device Name,Parent Node,MAC,IPv4,IPv6,Download Min Mbps,Upload Min Mbps,Download Max Mbps,Upload Max Mbps,Comment
		1001,A,dev-a,R,Site,,100.64.1.1,2001:db8:1001::1,1,1,50,10,
		1002,B,dev-b,R,Site,,100.64.20.0/29,2001:db8:20::/56,1,1,50,10,
	END
	lab_ini "shaped_devices=$LAB_DIR/few.csv" \
		"network_json=$LAB_DIR/few.json"
}

# golden DESCRIPTION STATUS ERRORS ARGUMENT...: the output wanted is on stdin.
golden()
{
	local description=$1 status=$2 errors=$3 rc why

	shift 3
	cat >"$LAB_DIR/wanted"
	printf '%s' "$errors" >"$LAB_DIR/wanted.err"
	LQOS_BUS=$LAB_BUS "$TOOL" "$@" \
		>"$LAB_DIR/got" 2>"$LAB_DIR/got.err" </dev/null
	rc=$?
	why=$(diff "$LAB_DIR/wanted" "$LAB_DIR/got"
		diff "$LAB_DIR/wanted.err" "$LAB_DIR/got.err")
	cmp -s "$LAB_DIR/wanted" "$LAB_DIR/got" &&
		cmp -s "$LAB_DIR/wanted.err" "$LAB_DIR/got.err" &&
		[ $rc -eq "$status" ]
	result $? "$description" "exit status $rc, $status wanted; $why"
}

success()
{
	golden "$1" 0 "" "${@:2}" <<<"Success"
}

nothing()
{
	golden "$1" 0 "" "${@:2}" </dev/null
}

fails()
{
	golden "$1" 1 "$2"$'\n' "${@:3}" </dev/null
}

# usage DESCRIPTION REGEX ARGUMENT...: no sense in it, and nothing is done.
usage()
{
	local description=$1 regex=$2 output rc

	shift 2
	output=$(LQOS_BUS=$LAB_BUS "$TOOL" "$@" 2>&1 >"$LAB_DIR/got" </dev/null)
	rc=$?
	like "$description" "$rc$(<"$LAB_DIR/got") $output" "^2 .*$regex"
}

json()
{
	local description=$1 wanted=$2 output

	shift 2
	output=$(LQOS_BUS=$LAB_BUS "$TOOL" "$@" 2>/dev/null)
	is "$description" "$output" "$wanted"
}

hex()
{
	printf %x "$1"
}

before_any_daemon()
{
	golden "no subcommand" 0 "" <<<"Run with --help to see instructions"
	fails "no daemon" "Error: no lqosd listens on $LAB_BUS (No such file \
or directory): is it running?" list
	fails "no daemon, asked in the old way" "ERR: no lqosd listens on \
$LAB_BUS (No such file or directory): is it running?" --list
	usage "a word that is no subcommand" "unrecognized subcommand 'foo'" foo
	usage "add without an address" "add: an address is missing" add
	usage "add without a class" "--classid MAJOR:MINOR is missing" \
		add --ip 192.0.2.1 --cpu 0
	usage "add without a CPU" "--cpu QUEUE is missing" \
		--add --ip 192.0.2.1 --classid 1:5
	usage "more words than wanted" "unexpected argument '192.0.2.2'" \
		del 192.0.2.1 192.0.2.2
	usage "options of another subcommand" "list: unexpected option" \
		list --ip 192.0.2.1
	usage "two actions" "list and clear do not go together" -l -e
	usage "options without an action" "--add, --del, --list or --clear" \
		--ip 192.0.2.1
}

list_of_files()
{
	golden "v2: list" 0 "" list <<-'END'

		Mapped IP Addresses:
		--------------------------------------------------------------------
		100.64.1.1/32                                 CPU: 0    TC: 1:4 CIRCUIT: 5479883718046884887 DEVICE: -5334111337359374090
		100.64.20.0/29                                CPU: 0    TC: 1:5 CIRCUIT: 497389476623575264 DEVICE: -650457994689530401
		2001:db8:20::/56                              CPU: 0    TC: 1:5 CIRCUIT: 497389476623575264 DEVICE: -650457994689530401
		2001:db8:1001::1/128                          CPU: 0    TC: 1:4 CIRCUIT: 5479883718046884887 DEVICE: -5334111337359374090

	END
}

v2()
{
	success "v2: add" add --ip 192.0.2.1 --classid "0x$LAST:0x1f" \
		--cpu "0x$((LAST - 1))" --circuit-id circuit-x \
		--device-id device-y
	success "v2: add a prefix, no 0x, no ids" \
		add --ip=198.51.100.0/25 --classid "$LAST:FFFF" --cpu 0 \
		--upload 1
	success "v2: add again" add --ip 192.0.2.1 --classid "$LAST:1e" \
		--cpu $((LAST - 1)) --circuit-id circuit-x --device-id ""
	success "v1.4: the upload of one that is mapped, on one interface" \
		add --ip 192.0.2.1 --upload 1 --cpu "0x$(hex $((QUEUES + 1)))" \
		--classid "0x$(hex $((QUEUES + 1))):0x1e"
	golden "v2: list has them" 0 "" list <<-END

		Mapped IP Addresses:
		--------------------------------------------------------------------
		100.64.1.1/32                                 CPU: 0    TC: 1:4 CIRCUIT: 5479883718046884887 DEVICE: -5334111337359374090
		100.64.20.0/29                                CPU: 0    TC: 1:5 CIRCUIT: 497389476623575264 DEVICE: -650457994689530401
		192.0.2.1/32                                  CPU: $((LAST - 1))    TC: $LAST:1e CIRCUIT: 7845551773816499027 DEVICE: 0
		198.51.100.0/25                               CPU: 0    TC: $LAST:ffff CIRCUIT: 0 DEVICE: 0
		2001:db8:20::/56                              CPU: 0    TC: 1:5 CIRCUIT: 497389476623575264 DEVICE: -650457994689530401
		2001:db8:1001::1/128                          CPU: 0    TC: 1:4 CIRCUIT: 5479883718046884887 DEVICE: -5334111337359374090

	END
	is "... which is on that queue's CPU" \
		"$(ctl -j call steering.list | jq '.[] |
			select(.ip == "192.0.2.1/32") | .cpu')" \
		"$(ctl -j call steering.queues | jq ".[$LAST - 1].cpu")"
	fails "v2: a class without a colon" "Error: Class id must be in the \
format (major):(minor), e.g. 1:12. Provided string: root" \
		add --ip 192.0.2.2 --classid root --cpu 0
	fails "v2: a class that is not hex" "Error: classid \"1:1g\": expected \
major:minor in hex, each from 1 to ffff, such as 0x1:0x1f" \
		add --ip 192.0.2.2 --classid 1:1g --cpu 0
	fails "v2: a class of 17 bits" "Error: classid \"1:10000\": expected \
major:minor in hex, each from 1 to ffff, such as 0x1:0x1f" \
		add --ip 192.0.2.2 --classid 1:10000 --cpu 0
	fails "v2: minor 0" "Error: classid \"1:0\": expected \
major:minor in hex, each from 1 to ffff, such as 0x1:0x1f" \
		add --ip 192.0.2.2 --classid 1:0 --cpu 0
	fails "v2: a queue's default class" "Error: classid \"1:2\": minor 1 is \
the root class of a queue and 2 its default class: expected one from 3 to ffff" \
		add --ip 192.0.2.2 --classid 1:2 --cpu 0
	like "v2: no address, which is said before all else of it" \
		"$(LQOS_BUS=$LAB_BUS "$TOOL" add --ip garbage --classid 1:5 \
			--cpu 0 2>&1)" '^Error: "garbage" is no address'
	fails "v2: a CPU that is not hex" "Error: cpu \"0xg\": expected the \
number of a queue, in hex, such as 0x1" \
		add --ip 192.0.2.2 --classid "$LAST:20" --cpu 0xg
	fails "v2: a queue too many" "Error: cpu \"ffff\": expected the number \
of a queue, of which there are $QUEUES, counted from 0: lqosctl steering \
queues shows them" add --ip 192.0.2.2 --classid "$LAST:20" --cpu ffff
	success "v2: flush" flush
	success "v2: del" del 192.0.2.1
	success "v2: del of a prefix" del 198.51.100.0/25 --upload 1
	golden "v2: del of what is not mapped: status 1, one line" 1 \
		"$(LQOS_BUS=$LAB_BUS "$TOOL" del 192.0.2.1 2>&1 |
			grep -c "^Error: .*192\.0\.2\.1" |
			grep -qx 1 && LQOS_BUS=$LAB_BUS "$TOOL" del 192.0.2.1 \
			2>&1)"$'\n' del 192.0.2.1 </dev/null
	list_of_files
}

old()
{
	nothing "getopt: --add, the CPU decimal" --add --ip 192.0.2.1 \
		--classid "0x$LAST:0xab" --cpu $((LAST - 1))
	nothing "getopt: -a with short options, the CPU in hex" -a -i 192.0.2.0 \
		-t "$LAST:fffe" -c 0x0 -p 29
	golden "getopt: --list" 0 "" --list <<-END
		{
		"100.64.1.1/32" : { "cpu" : 0, "tc_maj" : "1" , "tc_min" : "4" },
		"100.64.20.0/29" : { "cpu" : 0, "tc_maj" : "1" , "tc_min" : "5" },
		"192.0.2.0/29" : { "cpu" : 0, "tc_maj" : "$LAST" , "tc_min" : "FFFE" },
		"192.0.2.1/32" : { "cpu" : $((LAST - 1)), "tc_maj" : "$LAST" , "tc_min" : "AB" },
		"2001:db8:20::/56" : { "cpu" : 0, "tc_maj" : "1" , "tc_min" : "5" },
		"2001:db8:1001::1/128" : { "cpu" : 0, "tc_maj" : "1" , "tc_min" : "4" }}
	END
	is "getopt: the list is JSON" \
		"$(LQOS_BUS=$LAB_BUS "$TOOL" -l | jq length)" 6
	fails "getopt: a bad CPU" "ERR: cpu \"0x\": expected the number of a \
queue, in decimal, or in hex after 0x" \
		-a -i 192.0.2.2 -t "$LAST:20" -c 0x
	nothing "getopt: --del" --del --ip 192.0.2.1
	nothing "getopt: -x of a prefix" -x -i 192.0.2.0/29
	list_of_files
}

in_json()
{
	json "--json: add" '{"success":true}' --json \
		add --ip 2001:db8:f::/48 --classid "$LAST:ab" --cpu 0x0 \
		--device-id device-y
	json "--json: list" "[{\"ip\":\"100.64.1.1/32\",\"cpu\":0,\
\"classid\":\"1:4\",\"circuit_id\":\"1001\",\"device_id\":\"dev-a\",\
\"circuit\":5479883718046884887,\"device\":-5334111337359374090},\
{\"ip\":\"100.64.20.0/29\",\"cpu\":0,\
\"classid\":\"1:5\",\"circuit_id\":\"1002\",\"device_id\":\"dev-b\",\
\"circuit\":497389476623575264,\"device\":-650457994689530401},\
{\"ip\":\"2001:db8:f::/48\",\"cpu\":0,\
\"classid\":\"$LAST:ab\",\"circuit_id\":\"\",\"device_id\":\"device-y\",\
\"circuit\":0,\"device\":6197986973913390493},\
{\"ip\":\"2001:db8:20::/56\",\"cpu\":0,\
\"classid\":\"1:5\",\"circuit_id\":\"1002\",\"device_id\":\"dev-b\",\
\"circuit\":497389476623575264,\"device\":-650457994689530401},\
{\"ip\":\"2001:db8:1001::1/128\",\"cpu\":0,\
\"classid\":\"1:4\",\"circuit_id\":\"1001\",\"device_id\":\"dev-a\",\
\"circuit\":5479883718046884887,\"device\":-5334111337359374090}]" list --json
	json "--json: an error" '{"success":false,"error":"Class id must be in '`
		`'the format (major):(minor), e.g. 1:12. Provided string: 1"}' \
		add --ip 192.0.2.2 --classid 1 --cpu 0 --json
	json "--json: flush" '{"success":true}' --json flush
	json "--json: the old way" '{"success":true}' \
		-x -i 2001:db8:f::/48 --json
}

clearing()
{
	success "v2: clear" clear
	golden "v2: nothing in the list" 0 "" list <<-'END'

		Mapped IP Addresses:
		--------------------------------------------------------------------

	END
	golden "getopt: nothing in the list" 0 "" -l <<<$'{\n}'
	json "--json: nothing in the list" '[]' list --json
	success "v2: add to nothing" \
		add --ip 192.0.2.9 --classid 1:9 --cpu 0 --circuit-id x
	nothing "getopt: --clear" --clear
	golden "getopt: it is gone" 0 "" --list <<<$'{\n}'
	like "not everybody may" "$(LQOS_BUS=$LAB_BUS setpriv \
		--reuid 65534 --clear-groups "$TOOL" clear 2>&1)" \
		"^Error: method steering.clear changes state: root only"
}

net_begin 53
network || bail "no network"
before_any_daemon
daemon
QUEUES=$(ctl -j call steering.queues | jq length)
LAST=$((QUEUES < 9 ? QUEUES : 9)) # the same in decimal and in hex
list_of_files
v2
old
in_json
clearing
lab_stop
