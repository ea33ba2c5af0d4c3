# SPDX-License-Identifier: LGPL-2.1-or-later
# LQOS_WARNINGS
# -------------
# WARN_CFLAGS: every warning that the compiler knows; --enable-werror.
AC_DEFUN([LQOS_WARNINGS], [
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors])],
	[lqos_werror=$enableval], [lqos_werror=no])
lqos_warnings=
WARN_CFLAGS=
for lqos_flag in -Wall -Wextra -Wshadow -Wformat=2 -Wmissing-prototypes \
		 -Wstrict-prototypes -Wold-style-definition -Wundef -Wvla; do
	AC_MSG_CHECKING([whether $CC takes $lqos_flag])
	lqos_saved=$CFLAGS
	CFLAGS="$CFLAGS -Werror $lqos_flag"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
		[WARN_CFLAGS="$WARN_CFLAGS $lqos_flag"; AC_MSG_RESULT([yes])],
		[AC_MSG_RESULT([no])])
	CFLAGS=$lqos_saved
done
lqos_warnings=$WARN_CFLAGS
AS_IF([test "$lqos_werror" = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
AC_SUBST([WARN_CFLAGS])
])
