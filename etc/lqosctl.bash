# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of lqosctl for bash.  Modules, their verbs and parameters are asked
# of the daemon that runs; without one there are the commands only.

# The words of a command's argument, one a line.
_lqosctl_arguments()
{
	case $1 in
	call) lqosctl -j -t 1 methods | jq -r '.[].method' ;;
	watch) lqosctl -j -t 1 topics | jq -r '.[].topic' ;;
	bypass) printf '%s\n' on off status ;;
	esac 2>/dev/null
}

# Verbs of a module, or the parameters of one.
_lqosctl_verbs()
{
	lqosctl -j -t 1 "$1" 2>/dev/null | jq -r '.[].verb' 2>/dev/null
}

_lqosctl_keys()
{
	lqosctl -j -t 1 "$1" 2>/dev/null | jq -r --arg verb "$2" '
		.[] | select(.verb == $verb) | .params |
		[scan("([a-z0-9_]+)\\??:")[0]] | unique[] + "="' 2>/dev/null
}

_lqosctl_modules()
{
	lqosctl -j -t 1 methods 2>/dev/null |
		jq -r '[.[].method | split(".")[0]] | unique[]' 2>/dev/null
}

# Options of a program lqosctl-NAME, and the keys that its help begins with.
_lqosctl_program()
{
	"lqosctl-$1" --help 2>/dev/null | sed -n \
		-e 's/^ .*\(--[a-z]\+[-a-z0-9]*=\?\).*/\1/p' \
		-e 's/^  \([a-z]\+=\).*/\1/p'
}

# Maps that may be had: those of this shell, or of the daemon, which logs each
# grant of maps, as lqosctl map asks for, but no list of them.
_lqosctl_maps()
{
	if [ -n "${LQOS_MAPS+set}" ]; then
		lqosctl -j map list | jq -r '.[].map'
	else
		lqosctl -j -t 1 maps |
			jq -r '.[] | select(.access != "private") | .name'
	fi
}

# What follows "lqosctl map" and these words.
_lqosctl_map()
{
	if [ $# -eq 0 ]; then
		printf '%s\n' list dump get update delete watch
	elif [ $# -eq 1 ]; then
		_lqosctl_maps
	elif [ "$1" = update ] && [ $# -gt 3 ]; then
		printf '%s\n' any noexist exist
	fi 2>/dev/null
}

_lqosctl()
{
	local help commands options
	local cur=${COMP_WORDS[COMP_CWORD]} words=() i choice

	help=$(lqosctl --help 2>/dev/null)
	commands=$(sed -n 's/^  \([a-z]\+\) .*/\1/p' <<<"$help")
	options=$(sed -n 's/^ .*\(--[a-z]\+=\?\).*/\1/p' <<<"$help")
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-[Stci] | --socket | --timeout | --config | --interfaces | --for)
			[ "${COMP_WORDS[i + 1]}" != = ] || i=$((i + 1))
			i=$((i + 1))
			;;
		-*) ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
	if [ "${words[0]-}" = map ]; then
		choice=$(_lqosctl_map "${words[@]:1}")
		[[ $cur != -* ]] || choice=$(_lqosctl_program map)
	elif [ ${#words[@]} -gt 0 ] && [[ ${words[1]-=}${words[2]-} == *=* ]] &&
		type -P "lqosctl-${words[0]}" >/dev/null; then
		choice="$(_lqosctl_program "${words[0]}")"
		[ ${#words[@]} -gt 1 ] || choice+=" $(_lqosctl_verbs "${words[0]}")"
	elif [[ $cur == -* ]]; then
		choice=$options
	elif [ ${#words[@]} -eq 0 ]; then
		choice="$commands $(_lqosctl_modules)"
	elif grep -qx -- "${words[0]}" <<<"$commands"; then
		[ ${#words[@]} -eq 1 ] || return
		choice=$(_lqosctl_arguments "${words[0]}")
	elif [ ${#words[@]} -eq 1 ]; then
		choice=$(_lqosctl_verbs "${words[0]}")
	else
		choice=$(_lqosctl_keys "${words[0]}" "${words[1]}")
	fi
	mapfile -t COMPREPLY < <(compgen -W "$choice" -- "$cur")
	[[ ${COMPREPLY[*]-} != *= ]] || compopt -o nospace 2>/dev/null
}

complete -F _lqosctl lqosctl
