# SPDX-License-Identifier: LGPL-2.1-or-later
# LQOS_KEEP_CORE
# --------------
# autoconf removes `core` (a dump, it thinks) after every test.  Ours is a
# folder: keep rm from being handed that name.
AC_DEFUN([LQOS_KEEP_CORE], [
rm() {
	lqos_n=$[#]
	while test $lqos_n -gt 0; do
		lqos_arg=$[1]
		shift
		test "x$lqos_arg" = xcore || set x "$[@]" "$lqos_arg"
		test "x$lqos_arg" = xcore || shift
		lqos_n=`expr $lqos_n - 1`
	done
	command rm "$[@]"
}
])
