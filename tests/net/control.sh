#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lqosctl's words for modules, and what its completion offers, with a real
# lqosd.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# offers DESCRIPTION REGEX WORD...: what the last word may become.
offers()
{
	local description=$1 regex=$2

	shift 2
	like "$description" "$(
		PATH=$ROOT/bin:$PATH
		export LQOS_BUS=$LAB_BUS
		# shellcheck source=etc/lqosctl.bash
		. "$NET_TOP/etc/lqosctl.bash"
		COMP_WORDS=(lqosctl "$@")
		COMP_CWORD=$#
		COMPREPLY=()
		_lqosctl
		echo "<${COMPREPLY[*]}>"
	)" "^<$regex>\$"
}

net_begin 39
cp "$NET_TOP/etc/ShapedDevices.csv" "$LAB_DIR/some.csv" || bail "no file"
lab_ini "shaped_devices=$LAB_DIR/some.csv" watch_files=no
offers "without a daemon: commands" "status" st
offers "options" "--timeout=" --ti
offers "options that have no letter" "--for= --force" --fo
daemon
offers "a module" "status steering" st
offers "its verbs" "tree" steering tr
offers "their parameters" "circuit_id= classid= cpu=" steering add c
offers "methods to call" "core.maps core.methods core.modules" \
	-S "$LAB_BUS" call core.m
offers "topics to watch" "lqtop.top" watch lqtop.t
offers "the switch" "on off" bypass o

like "a module alone: its verbs" "$(ctl steering)" \
	'^add +Map an address .* \(root\)$'
check "add, by place and by name" ctl steering add 192.0.2.0/28 \
	classid=1:fff0 cpu="$(ctl -j steering queues | jq '.[0].cpu')" \
	circuit_id=7
is "... is there" "$(ctl -j steering list | jq -r '.[] |
	select(.ip == "192.0.2.0/28") | "\(.class) \(.circuit_id)"')" \
	"1:fff0 7"
like "list, for people" "$(ctl steering list | sed -n 1p)" '^ip +circuit_id'
check "del" ctl steering del 192.0.2.0/28
is "... is gone" "$(ctl steering list | grep -c 192.0.2.0)" 0
like "del of what is not there says so" "$(ctl steering del 192.0.2.0/28 2>&1)" \
	"^lqosctl: .*192\.0\.2\.0/28"
like "an address that is none" "$(ctl steering add 192.0.2 2>&1)" \
	'^lqosctl: "192.0.2" is no address: expected one like'
like "a parameter that is none" "$(ctl steering del ipp=192.0.2.1 2>&1)" \
	'steering del: "ipp=192.0.2.1": expected \{ip: string\}'
like "a verb that is none" "$(ctl steering tre 2>&1)" \
	'no method "steering.tre": did you mean "steering.tree"\?'
like "tree, for people" "$(ctl steering tree)" '^  AP_North_1 '
is "tree, for programs" "$(ctl -j steering tree | jq '.circuits | length')" 20
like "explain: whose an address is" "$(ctl steering explain 100.64.20.3)" \
	'^circuit_id: 1008$'
like "... and why, a sentence a line" "$(ctl steering explain 100.64.20.3)" \
	'^  100.64.20.0/29 is the longest prefix that holds it: .* the files$'
is "... for programs" "$(ctl -j steering explain 2001:db8:20::5 |
	jq -r '"\(.prefix) \(.circuit_id)"')" "2001:db8:20::/56 1008"
like "explain: nobody's" "$(ctl steering explain 192.0.2.77)" \
	"no prefix of a subscriber holds it"
is "plan: nothing to do" "$(ctl steering plan)" \
	"files and kernel agree: nothing to change"
sed -i 's/100\.64\.1\.1,/100.64.1.201,/; /^1009,/d' "$LAB_DIR/some.csv"
is "plan: one address for another, one circuit less" \
	"$(ctl steering plan |
		awk 'NR == 1 { print } NR > 1 { print $1, $2, $3 }')" \
	"1 to add, 3 to remove
change ip circuit_id
remove 100.64.1.1/32 1001
remove 100.64.3.1/32 1009
remove 2001:db8:1009::1/128 1009
add 100.64.1.201/32 1001"
like "plan: cut short" "$(ctl steering plan limit=1)" \
	'^and 3 more: limit=N shows N$'
check "flush" ctl steering flush

is "bypass status: off" "$(ctl bypass status)" "bypass is off"
like "bypass on: for 5 minutes" "$(ctl bypass on)" \
	'^bypass is on for another (300|299) s: packets pass untouched$'
like "bypass on --for" "$(ctl bypass on --for 20)" 'another (20|19) s:'
like "bypass status: on" "$(ctl bypass status)" '^bypass is on'
like "status: on" "$(ctl status)" '^bypass is on for another'
is "... for programs" "$(ctl -j bypass status | jq .bypass)" true
is "bypass off" "$(ctl bypass off)" "bypass is off"
is "status: not a word about it" "$(ctl status | grep -c '^bypass')" 0
lab_stop
is "lqosd ends with status 0" $? 0
