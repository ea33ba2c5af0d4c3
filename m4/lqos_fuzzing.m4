# SPDX-License-Identifier: LGPL-2.1-or-later
# LQOS_FUZZING
# ------------
# --enable-fuzzing: the targets of tests/fuzz look for inputs (libFuzzer, of
# clang); else they only replay those that they are given.
AC_DEFUN([LQOS_FUZZING], [
AC_ARG_ENABLE([fuzzing],
	[AS_HELP_STRING([--enable-fuzzing],
		[tests/fuzz with libFuzzer and sanitizers; wants CC=clang])],
	[lqos_fuzzing=$enableval], [lqos_fuzzing=no])
FUZZ_LDFLAGS=
AS_IF([test "$lqos_fuzzing" = yes], [
	AS_IF([test "$lqos_sanitizers" = no],
		[AC_MSG_ERROR([--enable-fuzzing finds little alone: add --enable-sanitizers])])
	SAN_CFLAGS="$SAN_CFLAGS -fsanitize=fuzzer-no-link"
	FUZZ_LDFLAGS=-fsanitize=fuzzer
	AC_MSG_CHECKING([whether $CC has libFuzzer])
	lqos_saved=$CFLAGS
	CFLAGS="$CFLAGS $FUZZ_LDFLAGS"
	AC_LINK_IFELSE([AC_LANG_SOURCE([int LLVMFuzzerTestOneInput(void) { return 0; }])],
		[AC_MSG_RESULT([yes])],
		[AC_MSG_ERROR([no libFuzzer: use CC=clang, and apt-get install libclang-rt-14-dev])])
	CFLAGS=$lqos_saved
])
AC_SUBST([FUZZ_LDFLAGS])
AM_CONDITIONAL([FUZZING], [test "$lqos_fuzzing" = yes])
])
