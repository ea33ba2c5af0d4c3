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

# refused DESCRIPTION REGEX ARGUMENT...: with one line, and status 1 or 2.
refused()
{
	local said rc

	said=$("$REPLAY" "${@:3}" 2>&1 >"$dir/found")
	rc=$?
	[ $rc != 0 ] || said="nothing, and status 0"
	[ "$(wc -l <<<"$said")" = 1 ] || said="several lines: $said"
	like "$1" "$said" "^rtt_replay: $2"
}

# cut DESCRIPTION BYTES REGEX: a capture of so many is refused.
cut()
{
	head -c "$2" "$dir/handshake.pcap" >"$dir/bad"
	refused "$1" "$dir/bad: $3" "$dir/bad" "${inside[@]}"
}

# patched DESCRIPTION OFFSET BYTES REGEX: one with those bytes there.
patched()
{
	cp "$dir/handshake.pcap" "$dir/bad"
	# shellcheck disable=SC2059 # it is escapes
	printf "$3" | dd of="$dir/bad" bs=1 seek="$2" conv=notrunc status=none
	refused "$1" "$dir/bad: $4" "$dir/bad" "${inside[@]}"
}

inside=(--inside 100.64.0.0/10)
plan $((${#names[@]} + 16))
for name in "${names[@]}"; do
	check "$name" same "$name"
done
cut "a file of nothing" 0 "0 bytes; expected a pcap file"
cut "a header that ends" 20 "20 bytes; expected a pcap file"
cut "a record's header that ends" 34 \
	"cut off in record 1, .* 10 of the 16 bytes of its header: tcpdump -r"
cut "a frame that ends" 60 \
	"cut off in record 1, .* 20 of the [0-9]+ bytes of its frame: tcpdump"
patched "another kind of file" 0 'text' "begins with 74786574; expected"
patched "pcapng" 0 '\x0a\x0d\x0d\x0a' "pcapng; .* editcap -F nsecpcap"
patched "another link" 20 '\x71' \
	"link type 113 \(Linux cooked.*; expected 1 .*tcpdump -i INTERFACE"
patched "a record of 16 MB" 34 '\xff' "damaged in record 1, .*expected 262144"
# The first two packets of the handshake, 30 ms apart, with a second between.
patched "a clock that is set back" 24 '\xe9' \
	"record 2 is 970000000 ns older .*reordercap"
is "a clock that is set back: no round trip" "$(cat "$dir/found")" ""
refused "a folder" "$dir: Is a directory; expected a pcap file" \
	"$dir" "${inside[@]}"
refused "a prefix that is too long" \
	"10\.0\.0\.0/33: no prefix; expected /0 to /32" \
	"$dir/handshake.pcap" --inside 10.0.0.0/33
refused "a prefix that is none" "10\.0\.0/8: no prefix; expected one" \
	"$dir/handshake.pcap" --inside 10.0.0/8
refused "a segment that is no number" "1k: expected the bytes" \
	"$dir/handshake.pcap" "${inside[@]}" --gso 1k
said=$("$REPLAY" "$dir/handshake.pcap" "${inside[@]}" 2>&1 >/dev/full)
is "no room for the output" "$? $said" \
	"1 rtt_replay: standard output: No space left on device"
is "outcomes are counted" "$("$REPLAY" "$dir/ack_only.pcap" --outcomes \
	--inside 100.64.0.0/10 2>&1 >/dev/null | tr '\n' ' ')" \
	"none 7 sample 3 poisoned 0 cold 0 delayed 0 ahead 3 expired 0 \
inexact 0 skipped 0 "
[ "$FAILED" -eq 0 ] && [ "$DONE" -eq "$PLANNED" ]
