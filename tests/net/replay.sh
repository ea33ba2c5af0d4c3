#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Captures of which it is known what happened: tests/rtt_replay must find those
# round-trip times, and no others.  tests/rtt/golden.py writes both.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

REPLAY=$(dirname "$NET_BUILD")/rtt_replay
GOLDEN=$NET_TOP/tests/rtt/golden.py

command -v python3 >/dev/null || skip_all "no python3"
[ -x "$REPLAY" ] || bail "no $REPLAY"
dir=$(mktemp -d /tmp/lqos-replay-XXXXXX) || bail "mktemp failed"
trap 'rm -rf "$dir"' EXIT
"$GOLDEN" make "$dir" || bail "golden.py failed"
mapfile -t names < <("$GOLDEN" list)

# same NAME: what is found in its capture is what is expected, in that order.
same()
{
	local args

	mapfile -t args <"$dir/$1.args"
	"$REPLAY" "$dir/$1.pcap" "${args[@]}" >"$dir/found" || return
	diff -U0 "$dir/$1.expected" "$dir/found"
}

# damaged DESCRIPTION BYTES: a capture cut to so many is refused.
damaged()
{
	local rc

	head -c "$2" "$dir/handshake.pcap" >"$dir/damaged"
	"$REPLAY" "$dir/damaged" --inside 100.64.0.0/10 >/dev/null 2>&1
	rc=$?
	is "$1: refused" $rc 1
}

plan $((${#names[@]} + 4))
for name in "${names[@]}"; do
	check "$name" same "$name"
done
damaged "a file of nothing" 0
damaged "a header that ends" 20
damaged "a frame that ends" 60
is "outcomes are counted" "$("$REPLAY" "$dir/ack_only.pcap" --outcomes \
	--inside 100.64.0.0/10 2>&1 >/dev/null | tr '\n' ' ')" \
	"none 7 sample 3 poisoned 0 cold 0 delayed 0 ahead 3 expired 0 \
inexact 0 skipped 0 "
[ "$FAILED" -eq 0 ] && [ "$DONE" -eq "$PLANNED" ]
