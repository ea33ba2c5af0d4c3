#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What three analyzers say of the daemon, its tools and its modules: nothing.
# Wants a folder where all was built with gcc: LQOS_BUILD, or that of tests/run.
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
build=${LQOS_BUILD:-$top/build/tests-gcc}
n=0 bad=0
for program in clang-tidy cppcheck gcc; do
	command -v $program > /dev/null || {
		echo "1..0 # SKIP no $program: apt-get install $program"
		exit 77
	}
done
[ -f "$build/bpf/datapath.skel.h" ] || {
	echo "1..0 # SKIP $build: nothing built there: run tests/run, or set LQOS_BUILD"
	exit 77
}
cd "$build" || exit 1
work=$(mktemp -d /tmp/lqos-analysis.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM

# The compiler's flags, but for what it should warn of.  Make may have more to say.
# shellcheck disable=SC2016
mapfile -t flags < <(printf 'include Makefile\nprint-flags:\n\t@printf "%%s\\n" %s\n' \
	'$(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) $(AM_CFLAGS) $(CFLAGS)' |
	make -s -f - print-flags | grep '^-[^W]')
mapfile -t c < <(cd "$top" && { git ls-files 'core/*.c' 'modules/*.c' 2> /dev/null ||
	find core modules -name '*.c'; })

# each COMMAND...: with every file behind it, as many at once as there are CPUs
each() {
	printf "$top/%s\\n" "${c[@]}" | xargs -P "$(nproc)" -I FILE "$@" FILE
}

check() {
	local what=$1
	shift
	n=$((n + 1))
	if "$@" > "$work/log" 2>&1; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		sed "s|$top/||; s/^/# /" "$work/log" | head -n 60
		bad=1
	fi
}

# A file at a time: va_list confuses version 14 from the second on.
tidy() {
	printf "$top/%s\\n" "${c[@]}" | xargs -P "$(nproc)" -I FILE \
		clang-tidy --quiet FILE -- "${flags[@]}" 2> /dev/null
}

# It takes what is freed in trees and in arrays of pointers for lost; the suites
# run with LeakSanitizer.
gcc_analyzer() {
	each gcc -fanalyzer -Wno-analyzer-malloc-leak -Werror "${flags[@]}" \
		-c -o /dev/null
}

# Libraries' headers are not read: macros.h has what it needs of them.  It knows
# neither the attribute cleanup (memleak, resourceLeak), nor ?: without a middle
# (selfAssignment).
cpp_check() {
	(cd "$top" && cppcheck -j "$(nproc)" -q --std=c11 --max-configs=1 \
		--enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --library=gnu \
		--suppress=memleak --suppress=resourceLeak \
		--suppress=selfAssignment \
		--include=tests/style/macros.h -I. -Icore \
		-D_GNU_SOURCE -DHAVE_CONFIG_H \
		"${c[@]}")
}

check "clang-tidy has nothing to say" tidy
check "gcc -fanalyzer has nothing to say" gcc_analyzer
check "cppcheck has nothing to say" cpp_check
echo "1..$n"
exit $bad
