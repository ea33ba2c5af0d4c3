#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What lqosd cannot work with: one clear line, an exit status, and nothing done
# to the interfaces, the pins or a daemon that runs already.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LQOSD=$ROOT/sbin/lqosd

# refused DESCRIPTION STATUS REGEX COMMAND...: one line of complaint, like that.
refused()
{
	local description=$1 status=$2 regex=$3 output rc errors

	shift 3
	output=$(timeout 40 nsenter --net="/run/netns/$LAB_NS_SHAPER" -- "$@" \
		2>&1 </dev/null)
	rc=$?
	# Level 3 is error; what has no level was said before there was a log.
	errors=$(grep -v '^<[4567]>' <<<"$output" | grep -v '^Try "lqosd')
	if [ $rc -ne "$status" ]; then
		result 1 "$description" "exit status $rc, not $status: $output"
	elif [ "$(wc -l <<<"$errors")" -ne 1 ]; then
		result 1 "$description" "not one line of complaint: $errors"
	else
		like "$description" "$errors" "$regex"
	fi
}

# with DESCRIPTION REGEX SETTING...: the same for values of [lqosd].
with()
{
	local description=$1 regex=$2

	shift 2
	lab_ini "$@"
	refused "$description" 1 "$regex" "$LQOSD" -c "$LAB_INI"
}

# line DESCRIPTION REGEX LINE...: the same for lines at the end of the file.
line()
{
	local description=$1 regex=$2

	shift 2
	lab_ini
	printf '%s\n' "$@" >>"$LAB_INI"
	refused "$description" 1 "$regex" "$LQOSD" -c "$LAB_INI" -t
}

untouched()
{
	local what=$1

	is "$what: no XDP program is on an interface" \
		"$(ip -n "$LAB_NS_SHAPER" -d -j link show |
			jq '[.[].xdp // empty | .prog] | length')" 0
	is "$what: nor a clsact" \
		"$(lab_shaper tc qdisc show | grep -c clsact)" 0
	check "$what: nor are there pins" test ! -e "$LAB_PINS"
}

programs()
{
	ip -n "$LAB_NS_SHAPER" -d -j link show | jq -c '[.[].xdp.prog.id]'
	lab_shaper tc filter show dev inet egress
	lab_shaper tc filter show dev subs egress
}

# undocumented SECTION...: options of these that lqos.ini(5) does not name.
undocumented()
{
	local section option

	for section; do
		"$LQOSD" --help-config | awk -v section="[$section]" '
		/^\[/ { mine = $1 == section; found += mine }
		mine && match($0, /^#?[a-z0-9_]+ =/) {
			sub(/^#/, "")
			print $1
		}
		END { if (!found) print "no section " section }'
	done | while read -r option; do
		grep -qE "^\.(It )?Ic .*\<$option\>" "$NET_TOP/core/lqos.ini.5" ||
			echo "$option"
	done
}

net_begin 54
chmod 0755 "$LAB_DIR"
N=$(($(wc -l <"$NET_TOP/etc/lqos.ini") + 1))

# ---- The manual page
is "lqos.ini(5) names all that can be set" \
	"$(undocumented lqosd capture echo xsk)" ""

# ---- Arguments
refused "an unknown option" 2 "unrecognized option.*--bogus" \
	"$LQOSD" --bogus
refused "an argument that is none" 2 '"extra": expected options only' \
	"$LQOSD" extra
lab_ini
refused "-i with one interface twice" 2 '"inet,inet"; expected .*different' \
	"$LQOSD" -c "$LAB_INI" -i inet,inet
refused "-i with nothing in front of the comma" 2 '",subs"; expected' \
	"$LQOSD" -c "$LAB_INI" -i ,subs
refused "-i with three" 2 '"a,b,c"; expected' \
	"$LQOSD" -c "$LAB_INI" -i a,b,c
NOBODY=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if "${NOBODY[@]}" test -x "$LQOSD" -a -r "$NET_TOP/etc/network.json"; then
	refused "not root" 1 "not root.*sudo" \
		"${NOBODY[@]}" "$LQOSD" -c "$LAB_INI"
	check "not root, but -t" "${NOBODY[@]}" "$LQOSD" -c "$LAB_INI" -t
else
	skip "not root" "nobody cannot read $ROOT"
	skip "not root, but -t" "nobody cannot read $ROOT"
fi
refused "a file that is not there" 1 "/nonexistent.ini .*: No such file" \
	"$LQOSD" -c /nonexistent.ini
refused "a folder instead of a file" 1 "$LAB_DIR: Is a directory" \
	"$LQOSD" -c "$LAB_DIR"
refused "a module that does not exist" 1 \
	"module nonsense: no nonsense.so in .*--list-modules" \
	"$LQOSD" -c "$LAB_INI" -m steering,nonsense
refused "a module twice" 1 "throughput is named twice" \
	"$LQOSD" -c "$LAB_INI" -m throughput,throughput
refused "modules where there are none" 1 "no steering.so in /nonexistent" \
	"$LQOSD" -c "$LAB_INI" -m steering -M /nonexistent
refused "an interface that is not there" 1 \
	"no interface eth77 in this network namespace.*ip link" \
	"$LQOSD" -c "$LAB_INI" -i inet,eth77
refused "an interface's name that is too long" 1 \
	"averyveryverylongname: .*at most 15" \
	"$LQOSD" -c "$LAB_INI" -i averyveryverylongname

# ---- Values
with "one interface twice" "both inet: give two interfaces" \
	to_subscribers=inet
with "no interface at all" "names no interface: set to_internet" \
	to_internet= to_subscribers=
with "a choice that is none" \
	'lqos.ini:[0-9]+: \[lqosd\] xdp_mode is "fast"; expected one of' \
	xdp_mode=fast
with "a number out of range" \
	'lqos.ini:[0-9]+: .*max_subscribers is "5"; expected a number from 16' \
	max_subscribers=5
with "a number that is none" 'lookup_cache is "many"; expected a number' \
	lookup_cache=many
with "no such file of subscribers" "/nonexistent.csv .*No such file" \
	shaped_devices=/nonexistent.csv
with "no such tree" "/nonexistent.json .*No such file" \
	network_json=/nonexistent.json
with "a run_dir that cannot be made" "/nonexistent/run.*parent" \
	run_dir=/nonexistent/run
with "a log level that is none" 'log_level is "loud"; expected' log_level=loud

# ---- Lines
line "no key = value" "lqos.ini:$N: not \"key = value\"" "queues 4"
line "a line that is too long" "lqos.ini:$N: longer than the 180 bytes" \
	"x = $(printf '%0200d' 1)"
line "a broken section" "lqos.ini:$N: not a heading" "[steer ing]"
line "an unknown section" \
	"lqos.ini:$N: there is no section \\[steeering\\]: did you mean" \
	"[steeering]"
line "an unknown key" \
	"lqos.ini:$((N + 1)): \\[throughput\\] .*unknown_host: did you mean" \
	"[throughput]" "unknown_host = 5"
line "a key twice" "lqos.ini:$((N + 2)): .*given twice, first in line" \
	"[steering]" "queues = 1" "queues = 1"
line "more queues than there are is no fault of the file" "." \
	"[steering]" "queues = 5000"
untouched "after all that"

# ---- Rows: left out, counted and told, but no reason not to run
cp "$NET_TOP/etc/ShapedDevices.csv" "$LAB_DIR/rows.csv"
echo '2001,No Address,CPE-1,Router,,,,,not-an-address,,5,2,50,10,' \
	>>"$LAB_DIR/rows.csv"
echo '2002,No Rate,CPE-2,Router,,,,,100.64.77.1,,fast,2,50,10,' \
	>>"$LAB_DIR/rows.csv"
lab_ini "shaped_devices=$LAB_DIR/rows.csv"
N=$(wc -l <"$LAB_DIR/rows.csv")
daemon
is "bad rows are counted" \
	"$(ctl -j status | jq -c '.problems.skipped')" 2
like "a bad row is told with its line" "$(cat "$LAB_LOG")" \
	"rows.csv:$((N - 1)):.*not-an-address"
like "and the other one" "$(cat "$LAB_LOG")" "rows.csv:$N:.*fast"
is "the good rows are there" "$(ctl -j status | jq '.subscribers')" 20

# ---- Others on the same ground
PID=$LAB_DAEMON
BEFORE=$(programs)
lab_ini
refused "a second lqosd" 1 "another lqosd \\(pid $PID\\) holds .*run/lock" \
	"$LQOSD" -c "$LAB_INI"
with "a second one with a run_dir of its own" \
	"another lqosd keeps its pins in $LAB_PINS" "run_dir=$LAB_DIR/run2"
with "a second one with a pin_dir of its own, too" \
	"inet: another XDP program \\(lq_from_inet, .*attached already" \
	"run_dir=$LAB_DIR/run2" "pin_dir=${LAB_PINS}_2"
is "the first one's programs are still in place" "$(programs)" "$BEFORE"
check "the first one still answers" ctl status
check "nothing of the second is left" test ! -e "${LAB_PINS}_2"
refused "lqtop without lqosd" 1 "no lqosd listens on /nonexistent" \
	"$ROOT/bin/lqtop" -S /nonexistent -b -n 1
refused "lqosctl without lqosd" 1 "no lqosd listens on /nonexistent" \
	"$ROOT/bin/lqosctl" -S /nonexistent status
refused "lqosctl with a method that is none" 1 "steering.nonsense" \
	"$ROOT/bin/lqosctl" -S "$LAB_BUS" call steering.nonsense
lab_stop
is "the first one ends well" $? 0
untouched "at the end"

# ---- No BPF file system: it is mounted
lab_ini
# shellcheck disable=SC2016
OUTPUT=$(timeout 60 nsenter --net="/run/netns/$LAB_NS_SHAPER" -- \
	unshare --mount --propagation private sh -c '
	umount /sys/fs/bpf
	exec timeout --preserve-status -s TERM "$3" "$1" -c "$2"' \
	sh "$LQOSD" "$LAB_INI" "${LQOS_SANITIZED:+1}5" 2>&1)
is "no BPF file system: lqosd runs and ends with status 0" $? 0
like "no BPF file system: one is mounted" "$OUTPUT" \
	"mounted a BPF file system at /sys/fs/bpf"
