# SPDX-License-Identifier: LGPL-2.1-or-later
# LQOS_SANITIZERS
# ---------------
# --enable-sanitizers[=LIST]; "address,undefined" if no list is given.
AC_DEFUN([LQOS_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
	[AS_HELP_STRING([--enable-sanitizers@<:@=LIST@:>@],
		[build with sanitizers @<:@address,undefined@:>@])],
	[lqos_sanitizers=$enableval], [lqos_sanitizers=no])
AS_IF([test "$lqos_sanitizers" = yes], [lqos_sanitizers=address,undefined])
SAN_CFLAGS=
AS_IF([test "$lqos_sanitizers" != no],
	[SAN_CFLAGS="-fsanitize=$lqos_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"])
AC_SUBST([SAN_CFLAGS])
])
