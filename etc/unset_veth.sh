#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Takes away what etc/set_veth.sh of the same PREFIX has made, all or what is
# left of it, and nothing else.
#
# usage: etc/unset_veth.sh [PREFIX]
set -u
PREFIX=${1:-}
MARK=set_veth.sh

[ $# -le 1 ] || {
	echo "usage: $0 [PREFIX]" >&2
	exit 2
}
[ "$(id -u)" -eq 0 ] || {
	echo "unset_veth.sh: must be root to remove network interfaces: use" \
		"sudo" >&2
	exit 1
}

# is_ours LINK [-n NETNS]
is_ours()
{
	ip "${@:2}" link show dev "$1" 2>/dev/null | grep -qx " *alias $MARK"
}

# remove LINK NETNS
remove()
{
	local link=$PREFIX$1 ns=$PREFIX$2

	# With a namespace it would go some time later.
	if is_ours "$link"; then
		ip link del "$link" || rc=1
	fi
	# A namespace is ours by its lo.
	if [ -e "/run/netns/$ns" ] && is_ours lo -n "$ns"; then
		ip netns del "$ns" || rc=1
	fi
}

rc=0
remove veth0 test1
remove veth2 test2
exit $rc
