#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Makes two pairs of virtual interfaces to try AF_XDP on, as packetvisor's script
# of this name does:
#
#	veth0 10.0.0.4/24 2001:db8::1/64 == test1: veth1 10.0.0.5/24 2001:db8::2/64
#	veth2 10.0.0.6/24                == test2: veth3 10.0.0.7/24
#
# test1 and test2 are network namespaces.  Checksums are computed by who sends:
# an interface that would do it later hands on packets whose checksum is none.
#
# usage: etc/set_veth.sh [PREFIX]	of all names; several can be side by side
#
# Run again it mends what is missing.  etc/unset_veth.sh takes all of it away;
# so does this script, where it fails half way.
set -u
PREFIX=${1:-}
MARK=set_veth.sh # the alias of what is ours
MADE=
here=$(cd "$(dirname "$0")" && pwd) || exit 1

die()
{
	echo "set_veth.sh: $*" >&2
	exit 1
}

end()
{
	local rc=$?

	trap - EXIT
	[ $rc -eq 0 ] || [ -z "$MADE" ] || "$here/unset_veth.sh" "$PREFIX"
	exit $rc
}

stoppable()
{
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

# is_ours NETNS LINK: a namespace is by its lo.
is_ours()
{
	ip ${1:+-n "$1"} link show dev "$2" 2>/dev/null |
		grep -qx " *alias $MARK"
}

# pair LINK NETNS PEER
pair()
{
	local link=$PREFIX$1 ns=$PREFIX$2 peer=$PREFIX$3

	if is_ours "" "$link"; then
		return # and so is what is at its other end
	fi
	! ip link show dev "$link" >/dev/null 2>&1 ||
		die "$link is there already, and not of this script: give" \
			"another prefix, as in set_veth.sh x"
	[ ! -e "/run/netns/$ns" ] || is_ours "$ns" lo ||
		die "the network namespace $ns is there already, and not of" \
			"this script: give another prefix, as in set_veth.sh x"
	MADE=1
	# What is made is marked before anything else happens.
	trap '' INT TERM HUP
	{ [ -e "/run/netns/$ns" ] || ip netns add "$ns"; } &&
		ip -n "$ns" link set lo alias "$MARK" &&
		ip link add "$link" type veth peer name "$peer" netns "$ns" &&
		ip link set "$link" alias "$MARK" ||
		die "cannot make $link and $ns:$peer"
	stoppable
}

# within NETNS COMMAND...; no namespace: here.
within()
{
	local ns=$1

	shift
	if [ -n "$ns" ]; then
		nsenter --net="/run/netns/$ns" -- "$@"
	else
		"$@"
	fi
}

# up NETNS LINK ADDRESS...
up()
{
	local ns=${1:+$PREFIX$1} link=$PREFIX$2 address nodad

	shift 2
	for address; do
		nodad=()
		# Nobody else can have it, so nobody is asked.
		[[ $address != *:* ]] || nodad=(nodad)
		within "$ns" ip address replace "$address" dev "$link" \
			"${nodad[@]}" || return
	done
	[ -z "$ns" ] || ip -n "$ns" link set lo up || return
	within "$ns" ethtool -K "$link" tx off rx off >/dev/null &&
		within "$ns" ip link set "$link" up
}

[ $# -le 1 ] || {
	echo "usage: $0 [PREFIX]" >&2
	exit 2
}
[[ $PREFIX =~ ^[a-zA-Z0-9_.-]{0,10}$ && $PREFIX != .* && $PREFIX != -* ]] ||
	die "prefix \"$PREFIX\": expected at most 10 letters, digits, _, . or -"
for tool in ip ethtool nsenter; do
	command -v $tool >/dev/null ||
		die "no $tool: apt-get install iproute2 ethtool util-linux"
done
[ "$(id -u)" -eq 0 ] || die "must be root to make network interfaces: use sudo"
trap end EXIT
stoppable
pair veth0 test1 veth1
pair veth2 test2 veth3
up "" veth0 10.0.0.4/24 2001:db8::1/64 &&
	up test1 veth1 10.0.0.5/24 2001:db8::2/64 &&
	up "" veth2 10.0.0.6/24 &&
	up test2 veth3 10.0.0.7/24 ||
	die "cannot set up the interfaces"
