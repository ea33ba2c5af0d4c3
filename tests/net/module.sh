#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A third party's module, built against nothing but what is installed: it loads
# beside the others, sees the packets they see, and its columns show up by
# themselves.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ADDRESS=100.64.1.3
CIRCUIT=1003

columns()
{
	jq -r '.data.subscribers.columns[].name' "$LAB_DIR/frame.json"
}

run()
{
	local so=$LAB_DIR/module

	check "the example builds against the installed headers" \
		"$NET_TOP/tests/module/build" "$ROOT" "$so"
	like "--list-modules describes it" \
		"$("$ROOT/sbin/lqosd" -M "$so" --list-modules)" '^ttl +1\.0 +3\.1 '
	lab_ini && daemon -M "$ROOT/lib/lqos:$so" \
		-m steering,throughput,lqtop,ttl
	flow udp $ADDRESS -t 3 -b 5M -u --bidir
	flows_end 20
	settle
	take_frame
	like "its columns are in lqtop's frame" "$(columns)" '^ttl\.down$'
	is "what comes down has a hop limit of 64" "$(cell $CIRCUIT ttl.down)" 64
	is "what goes up too" "$(cell $CIRCUIT ttl.up)" 64
	is "it sees as many packets as throughput" "$(cell $CIRCUIT ttl.packets)" \
		$(($(cell $CIRCUIT throughput.down.packets) +
			$(cell $CIRCUIT throughput.up.packets)))
	at_least "... which are not few" "$(cell $CIRCUIT ttl.packets)" 1000
	like "the chain has both" "$(ctl -j status | jq -c .chains.observe)" \
		'tp_count.*ttl_look'
	is "no sanitizer reports" "$(sanitizer_reports)" ""
}

net_begin 10
run
