/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The main of a target that is not linked with libFuzzer: each file that is
 * named goes through it once. */
#include <err.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static void replay(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *data;
	struct stat st;
	size_t size;

	if (!f || fstat(fileno(f), &st))
		err(1, "%s: cannot read input", path);
	size = (size_t)st.st_size;
	/* No larger than it is, so that a sanitizer sees who reads on. */
	data = malloc(size);
	if ((!data && size) || fread(data, 1, size, f) != size)
		err(1, "%s: cannot read input", path);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		errx(2, "usage: %s FILE...", argv[0]);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	return 0;
}
