# SPDX-License-Identifier: LGPL-2.1-or-later
# LQOS_BPF
# --------
# CLANG, BPFTOOL and BPF_CFLAGS for objects that run in the kernel.
AC_DEFUN([LQOS_BPF], [
AC_ARG_VAR([CLANG], [compiler for BPF objects])
AC_ARG_VAR([BPFTOOL], [makes skeletons of BPF objects])
AC_CHECK_PROGS([CLANG], [clang clang-14 clang-15 clang-16])
AS_IF([test -z "$CLANG"], [AC_MSG_ERROR([clang is needed for BPF objects: apt-get install clang])])
AC_PATH_PROGS([BPFTOOL], [bpftool], [], [$PATH:/usr/sbin:/sbin])
AS_IF([test -z "$BPFTOOL"], [AC_MSG_ERROR([bpftool is needed for skeletons: apt-get install bpftool])])
# The kernel's headers include asm/types.h, which lies with the host's own.
AC_MSG_CHECKING([for the headers of BPF objects])
lqos_multiarch=`$CC -print-multiarch 2>/dev/null`
BPF_CFLAGS="-g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror"
AS_IF([test -n "$lqos_multiarch" && test -d "/usr/include/$lqos_multiarch"],
	[BPF_CFLAGS="$BPF_CFLAGS -I/usr/include/$lqos_multiarch"])
AC_MSG_RESULT([$BPF_CFLAGS])
AC_SUBST([BPF_CFLAGS])
])
