#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The clock is set, back and forth, by an hour and by a decade, while a flow of
# a known rate runs: ticks go on, and no rate or round-trip time is of the step.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RATE=1000000 # of the flow, bytes/s
STEPS=(3600 -3600 315360000 -315360000 0)

# near_rate DESCRIPTION: a busy machine sends late, and makes up for it; a step
# would be off by a thousand times.
near_rate()
{
	near "$1" "$(cell 1014 throughput.up.bytes rates)" $RATE 600
}

of_frame()
{
	jq "$1" "$LAB_DIR/frame.json"
}

net_begin $((5 + 5 * ${#STEPS[@]}))
fault_begin
lab_ini
daemon
flow steady 100.64.4.3 -t 28 -u -l 1000 -b $((RATE * 8))
sleep 3
take_frame
near_rate "the flow's rate is known"
for STEP in "${STEPS[@]}"; do
	clock "$STEP"
	SEQ=$(of_frame .data.seq)
	sleep 2.5
	take_frame
	at_least "$STEP s: ticks go on" "$(of_frame .data.seq)" $((SEQ + 2))
	near_rate "... the rate is as before"
	is "... they carry the new time" "$(of_frame \
		"(.data.ts_ns / 1e9 - $(($(date +%s) + STEP))) | fabs < 5")" true
	is "... and are a second long" "$(of_frame \
		'.data.interval_ns / 1e9 | . > 0.8 and . < 1.3')" true
	check "... it answers at once" timeout 2 "$ROOT/bin/lqosctl" \
		-S "$LAB_BUS" status
done
is "not a word of warning" "$(grep -c '^<[34]>' "$LAB_LOG")" 0
FLOWS=$(ctl -j flow top | jq '.flows | length')
at_least "the flow is still one that runs" "$FLOWS" 1
flows_end 30
lab_stop
is "clean stop: status 0" $? 0
