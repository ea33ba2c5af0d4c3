/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors out of files: whole ones, foreign ones, broken ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/core.h"

/* Where the modules of fixtures/ were built to. */
#ifndef LQOS_FIXTURES
#error "define LQOS_FIXTURES as the directory of the fixtures' .so files"
#endif

static struct {
	uint8_t *file; /* good.so */
	size_t size;
	uint8_t *copy;	   /* to be broken */
	size_t descriptor; /* where in the file it is */
	char path[PATH_MAX];
	int fd; /* of the file at path */
} t = {.fd = -1};

static size_t find_descriptor(void)
{
	const ElfW(Ehdr) *header = (void *)t.file;
	const ElfW(Shdr) *sections = (void *)(t.file + header->e_shoff);
	const char *names =
		(char *)t.file + sections[header->e_shstrndx].sh_offset;

	for (size_t i = 0; i < header->e_shnum; i++)
		if (!strcmp(names + sections[i].sh_name, LQOS_MODULE_SECTION))
			return sections[i].sh_offset;
	return 0;
}

static int group_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	autofclose FILE *f = fopen(LQOS_FIXTURES "/good.so", "r");

	(void)state;
	snprintf(t.path, sizeof(t.path), "%s/lqos-elf-XXXXXX",
		 tmp ? tmp : "/tmp");
	t.fd = mkstemp(t.path);
	if (!f || t.fd < 0 || fseek(f, 0, SEEK_END))
		return -1;
	t.size = (size_t)ftell(f);
	rewind(f);
	t.file = malloc(t.size);
	t.copy = malloc(t.size);
	if (!t.file || !t.copy || fread(t.file, 1, t.size, f) != t.size)
		return -1;
	t.descriptor = find_descriptor();
	return t.descriptor ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	free(t.file);
	free(t.copy);
	close(t.fd);
	return unlink(t.path);
}

static int setup(void **state)
{
	(void)state;
	memcpy(t.copy, t.file, t.size);
	return 0;
}

static bool terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size);
}

/* What every answer has to fulfil. */
static int read_checked(const char *path, struct core_module_info *out)
{
	struct core_module_info untouched;
	char why[PATH_MAX + 256] = "";
	int rc;

	memset(out, 0x5a, sizeof(*out));
	memset(&untouched, 0x5a, sizeof(untouched));
	rc = core_elf_read(path, out, why, sizeof(why));
	if (rc) {
		assert_true(rc < 0);
		assert_memory_equal(out, &untouched, sizeof(untouched));
		assert_non_null(strstr(why, path));
		assert_null(strchr(why, '\n'));
		return rc;
	}
	assert_string_equal(why, "");
	assert_string_equal(out->path, path);
	assert_true(terminated(out->name, sizeof(out->name)));
	assert_true(terminated(out->version, sizeof(out->version)));
	assert_true(terminated(out->description, sizeof(out->description)));
	assert_true(terminated(out->needs, sizeof(out->needs)));
	assert_true(terminated(out->after, sizeof(out->after)));
	return 0;
}

/* The first len bytes of the copy, as a file. */
static int read_copy(size_t len, struct core_module_info *out)
{
	assert_int_equal(ftruncate(t.fd, 0), 0);
	assert_int_equal(pwrite(t.fd, t.copy, len, 0), len);
	return read_checked(t.path, out);
}

static struct lqos_module *descriptor(void)
{
	return (void *)(t.copy + t.descriptor);
}

static void reads_a_module(void **state)
{
	struct core_module_info info;

	(void)state;
	assert_int_equal(read_checked(LQOS_FIXTURES "/good.so", &info), 0);
	assert_int_equal(info.abi, LQOS_ABI);
	assert_int_equal(info.size, sizeof(struct lqos_module));
	assert_string_equal(info.name, "good");
	assert_string_equal(info.version, "1.2");
	assert_string_equal(info.description, "A module as it should be");
	assert_string_equal(info.needs, "");
	assert_string_equal(info.after, "");
	assert_int_equal(info.flags, LQOS_MODULE_STEERS);

	assert_int_equal(read_checked(LQOS_FIXTURES "/later.so", &info), 0);
	assert_string_equal(info.after, "needs_good, good");
	assert_int_equal(info.flags, 0);
}

static void of_another_major_only_the_abi_counts(void **state)
{
	struct core_module_info info;

	(void)state;
	descriptor()->abi = 7 << 16 | 3;
	memset(descriptor()->name, 'x', sizeof(descriptor()->name));
	assert_int_equal(read_copy(t.size, &info), 0);
	assert_int_equal(info.abi, 7 << 16 | 3);
	assert_int_equal(info.size, sizeof(struct lqos_module));
	assert_string_equal(info.name, "");
}

static void refuses_texts_without_an_end(void **state)
{
	const struct {
		size_t offset, size;
	} texts[] = {
#define TEXT(field)                           \
	{offsetof(struct lqos_module, field), \
	 sizeof(((struct lqos_module *)0)->field)}
		TEXT(name),  TEXT(version), TEXT(description),
		TEXT(needs), TEXT(after),
	};
	struct core_module_info info;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *text = (char *)descriptor() + texts[i].offset;

		memset(text, 'x', texts[i].size);
		assert_int_equal(read_copy(t.size, &info), -ENODATA);
		text[texts[i].size - 1] = '\0';
		assert_int_equal(read_copy(t.size, &info), 0);
	}
}

static void refuses_texts_that_are_no_text(void **state)
{
	const char bad[] = {'\n', '\x1b', '\x7f', '\x80', '\xff'};
	struct core_module_info info;

	(void)state;
	for (size_t i = 0; i < sizeof(bad); i++) {
		descriptor()->description[3] = bad[i];
		assert_int_equal(read_copy(t.size, &info), -ENODATA);
	}
	descriptor()->description[3] = '~';
	assert_int_equal(read_copy(t.size, &info), 0);
}

static void refuses_what_is_not_for_this_machine(void **state)
{
	ElfW(Ehdr) *header = (void *)t.copy;
	struct core_module_info info;

	(void)state;
	header->e_machine ^= 1;
	assert_int_equal(read_copy(t.size, &info), -ENOEXEC);
	header->e_machine ^= 1;
	header->e_type = ET_REL;
	assert_int_equal(read_copy(t.size, &info), -ENOEXEC);
	header->e_type = ET_DYN;
	header->e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	assert_int_equal(read_copy(t.size, &info), -ENOEXEC);
	header->e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	header->e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
	assert_int_equal(read_copy(t.size, &info), -ENOEXEC);
	header->e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
	assert_int_equal(read_copy(t.size, &info), 0);
}

static void refuses_what_is_no_module(void **state)
{
	struct core_module_info info;
	char path[PATH_MAX + 32], long_path[PATH_MAX + 2];

	(void)state;
	assert_int_equal(read_checked(LQOS_FIXTURES "/no_section.so", &info),
			 -ENODATA);
	assert_int_equal(read_checked("/nonexistent/x.so", &info), -ENOENT);
	assert_int_equal(read_checked("/", &info), -ENOEXEC);
	assert_int_equal(read_checked("/dev/null", &info), -ENOEXEC);
	memset(t.copy, '#', t.size);
	assert_int_equal(read_copy(0, &info), -ENOEXEC);
	assert_int_equal(read_copy(t.size, &info), -ENOEXEC);

	/* Nobody ever writes to it: a reader that waits would wait forever. */
	snprintf(path, sizeof(path), "%s.fifo", t.path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(read_checked(path, &info), -ENOEXEC);
	unlink(path);

	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(read_checked(long_path, &info), -ENAMETOOLONG);
}

static void refuses_a_section_that_is_cut(void **state)
{
	ElfW(Ehdr) *header = (void *)t.copy;
	ElfW(Shdr) *section = (void *)(t.copy + header->e_shoff);
	const size_t least = offsetof(struct lqos_module, options);
	struct core_module_info info;

	(void)state;
	while (section->sh_offset != t.descriptor)
		section++;
	for (size_t size = 0; size < least; size++) {
		section->sh_size = size;
		assert_int_equal(read_copy(t.size, &info), -ENODATA);
	}
	section->sh_size = least;
	assert_int_equal(read_copy(t.size, &info), 0);
	section->sh_size = t.size;
	assert_true(read_copy(t.size, &info) < 0);
	section->sh_size = SIZE_MAX / 2;
	assert_true(read_copy(t.size, &info) < 0);
}

/* The section headers are at the end: what is cut has lost some. */
static void survives_truncation(void **state)
{
	const ElfW(Ehdr) *header = (void *)t.file;
	struct core_module_info info;

	(void)state;
	for (size_t len = 0; len < t.size; len += len < 1024 ? 1 : 61) {
		int rc = read_copy(len, &info);

		if (len <= header->e_shoff)
			assert_true(rc < 0);
	}
}

static void survives_flipped_bits(void **state)
{
	const ElfW(Ehdr) *header = (void *)t.file;
	const size_t tables = header->e_shoff;
	uint32_t random = 12345;
	unsigned int refused = 0;

	(void)state;
	for (int round = 0; round < 6000; round++) {
		struct core_module_info info;
		size_t at[3];

		/* Where it hurts: headers, section headers, descriptor. */
		for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
			const size_t from[] = {0, tables, t.descriptor};
			const size_t len[] = {sizeof(*header), t.size - tables,
					      sizeof(struct lqos_module)};
			size_t where = (size_t)(round % 3);

			random = random * 1664525 + 1013904223;
			at[i] = from[where] + (random >> 8) % len[where];
			t.copy[at[i]] ^= (uint8_t)(1u << (random >> 5) % 8);
		}
		if (read_copy(t.size, &info))
			refused++;
		for (size_t i = 0; i < ARRAY_SIZE(at); i++)
			t.copy[at[i]] = t.file[at[i]];
	}
	/* Both happened often, or the bits were not where they matter. */
	assert_in_range(refused, 600, 5400);
}

static void leaks_no_descriptor(void **state)
{
	struct core_module_info info;
	int before = dup(t.fd), after;

	(void)state;
	close(before);
	read_checked(LQOS_FIXTURES "/good.so", &info);
	read_checked("/dev/null", &info);
	read_copy(t.size / 2, &info);
	after = dup(t.fd);
	close(after);
	assert_int_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_a_module, setup),
		cmocka_unit_test_setup(of_another_major_only_the_abi_counts,
				       setup),
		cmocka_unit_test_setup(refuses_texts_without_an_end, setup),
		cmocka_unit_test_setup(refuses_texts_that_are_no_text, setup),
		cmocka_unit_test_setup(refuses_what_is_not_for_this_machine,
				       setup),
		cmocka_unit_test_setup(refuses_what_is_no_module, setup),
		cmocka_unit_test_setup(refuses_a_section_that_is_cut, setup),
		cmocka_unit_test_setup(survives_truncation, setup),
		cmocka_unit_test_setup(survives_flipped_bits, setup),
		cmocka_unit_test_setup(leaks_no_descriptor, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
