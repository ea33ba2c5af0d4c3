#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What rtt_judge.py makes of runs that were made up (rtt_made_up.py): what may be
# tried again, and what must not happen even once.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v python3 >/dev/null || skip_all "no python3"
dir=$(mktemp -d /tmp/lqos-judged-XXXXXX) || bail "mktemp failed"
trap 'rm -rf "$dir"' EXIT

ONCE=1
AGAIN=75

# judged STATUS WRONG [CHANGE...]: and what is wrong, "; " between.
judged()
{
	local status=$1 wrong=$2 rc

	shift 2
	python3 -B "$NET_HERE/rtt_made_up.py" "$dir" "$@" || bail "no run"
	python3 -B "$NET_HERE/rtt_judge.py" "$dir" >"$dir/judged"
	rc=$?
	is "${*:-all is well}" "$rc: $(awk -F'\t' '$1 == 1 {
			printf "%s%s", n++ ? "; " : "", $2
		}' "$dir/judged")" "$status: $wrong"
}

plan 16
judged 0 ""
is "all is well: each test is told" "$(grep -c '^0' "$dir/judged")" 12
like "the side without samples is named" "$(cat "$dir/judged")" \
	"icmp, access: not compared with the reference, 0 of 0 samples"
judged $ONCE "icmp: none below the true delay" early
judged $ONCE "the side is that of the end that answers; \
icmp: all that is counted is told, or as lost" swapped
judged $ONCE "a flow's least is its least" not_the_least
judged 0 "" not_the_least_of_the_lost
judged $ONCE "icmp: all that is counted is told, or as lost" more_than_told
judged 0 "" more_are_lost
judged $AGAIN "icmp: p90 is as the reference's" late
judged $AGAIN "wires and captures leave nothing out" captures_dropped
judged $ONCE "icmp: none below the true delay; icmp: p90 is as the reference's" \
	late early
judged $ONCE "rr: enough samples to compare" of_two_sides
judged $ONCE "icmp: enough samples to compare" few
judged $ONCE "icmp: columns' percentiles as the samples'" other_columns
judged $ONCE "icmp: columns' percentiles as the samples'" \
	other_columns more_are_lost
[ "$FAILED" -eq 0 ] && [ "$DONE" -eq "$PLANNED" ]
