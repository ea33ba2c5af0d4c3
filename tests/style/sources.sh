#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What every source file must keep to.
set -u
cd "$(dirname "$0")/../.." || exit 1
n=0 bad=0

check() {
	local what=$1 found=$2
	n=$((n + 1))
	if [ -z "$found" ]; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		echo "$found" | sed 's/^/# /' | head -n 30
		bad=1
	fi
}

files() {
	git ls-files -- "$@" 2>/dev/null || find . -path ./build -prune -o -type f -print
}

mapfile -t c < <(files '*.c' '*.h')
mapfile -t all < <(files)
mapfile -t sh < <(grep -lE '^#!/bin/(ba)?sh' "${all[@]}")
mapfile -t bpf < <(files 'bpf/*.c' 'bpf/*.h')
mapfile -t public < <(files 'core/lqos/*.h')
mapfile -t man < <(files '*.[158]')

check "every source has an SPDX line" \
	"$(grep -L 'SPDX-License-Identifier' "${c[@]}" "${sh[@]}")"
check "BPF programs are GPL-2.0-only OR BSD-2-Clause" \
	"$(grep -L 'GPL-2.0-only OR BSD-2-Clause' "${bpf[@]}")"
check "public headers are BSD-2-Clause" \
	"$(grep -L 'Identifier: BSD-2-Clause' "${public[@]}")"
check "nothing prints from a packet's path" \
	"$(grep -nE 'bpf_printk|bpf_trace_printk' "${bpf[@]}" "${public[@]}")"
check "the tools are there" "$(for tool in clang-format shellcheck mandoc; do
	command -v $tool >/dev/null || echo "no $tool: apt-get install $tool"
done)"
check "clang-format has nothing to say" \
	"$(clang-format --dry-run "${c[@]}" 2>&1 | grep -E 'warning' | sort -u)"
check "shellcheck has nothing to say" \
	"$(shellcheck -S warning -x "${sh[@]}" 2>&1)"
# Which pages of others are there is the machine's matter.  One at a time: what it
# says of many is cut by what it says of its database.
check "manual pages are well formed" \
	"$(printf '%s\n' "${man[@]}" | xargs -rn 1 mandoc -Tlint -Wstyle 2>&1 |
		grep -vE 'referenced manual not found|outdated mandoc.db')"
check "the top level holds nothing else" \
	"$(git ls-tree --name-only HEAD 2>/dev/null | grep -v '^\.' |
		grep -vxE 'configure\.ac|Makefile\.am|README\.md|LICENSE|core|modules|bpf|etc|tests|m4')"
for std in c11 c17 c++17; do
	compiler=gcc
	[ "$std" = c++17 ] && compiler=g++
	command -v $compiler > /dev/null || continue
	check "public headers compile alone as $std" \
		"$(for h in core/lqos/module.h core/lqos/packet.h; do
			$compiler -std=$std -pedantic-errors -Wall -Wextra -Werror \
				-fsyntax-only -x "$([ $compiler = g++ ] && echo c++ || echo c)" "$h" 2>&1
		done)"
done
echo "1..$n"
exit $bad
