/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a module's file.
 *
 * What is refused is said in a line that a terminal can show, and changes
 * nothing.  What is taken has texts that end, and that anybody may print.
 */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/core.h"
#include "tests/fuzz/fuzz.h"

/* The path of a file of those bytes. */
static const char *file_of(const uint8_t *data, size_t size)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("module", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) ||
	    pwrite(fd, data, size, 0) != (ssize_t)size)
		err(1, "cannot write a file to memory");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void check_text(const char *text, size_t size)
{
	require(memchr(text, '\0', size));
	if (*text)
		require_one_line(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct core_module_info untouched;
	struct core_module_info info = untouched;
	const char *path = file_of(data, size);
	char why[512] = "";
	int rc = core_elf_read(path, &info, why, sizeof(why));

	if (rc) {
		require(rc == -ENOEXEC || rc == -ENODATA);
		require(!memcmp(&info, &untouched, sizeof(info)));
		require_one_line(why);
		return 0;
	}
	require(!*why && !strcmp(info.path, path));
	check_text(info.name, sizeof(info.name));
	check_text(info.version, sizeof(info.version));
	check_text(info.description, sizeof(info.description));
	check_text(info.needs, sizeof(info.needs));
	check_text(info.after, sizeof(info.after));
	return 0;
}
