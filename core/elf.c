/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* elf.c - what a module's file says of itself, read without executing it. */
#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/core.h"

/* Our own ELF header, by the linker: what this machine's files look like. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static void elf_end_p(Elf **elf)
{
	elf_end(*elf);
}

static int LQOS_PRINTF(4, 5)
	refuse(int rc, char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return rc;
}

/* Terminated, and nothing in it that could upset a terminal, a log or JSON. */
static bool printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\0')
			return true;
		if (c < ' ' || c > '~')
			return false;
	}
	return false;
}

static bool made_for_this_machine(Elf *elf)
{
	GElf_Ehdr header;

	return elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) &&
	       header.e_type == ET_DYN &&
	       header.e_machine == __ehdr_start.e_machine &&
	       header.e_ident[EI_CLASS] == __ehdr_start.e_ident[EI_CLASS] &&
	       header.e_ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA];
}

/* NULL: no such section, or nothing in it. */
static const Elf_Data *section_data(Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *found;

		if (!gelf_getshdr(section, &header) ||
		    header.sh_type != SHT_PROGBITS)
			continue;
		found = elf_strptr(elf, names, header.sh_name);
		if (found && !strcmp(found, name)) {
			const Elf_Data *data = elf_rawdata(section, NULL);

			return data && data->d_buf ? data : NULL;
		}
	}
	return NULL;
}

/* The pointers of the descriptor are not relocated in the file: only what comes
 * before them is looked at. */
#define READABLE offsetof(struct lqos_module, options)

static int take(const Elf_Data *data, struct core_module_info *info, char *why,
		size_t why_size)
{
	struct lqos_module module = {0};

	memcpy(&module, data->d_buf,
	       data->d_size < READABLE ? data->d_size : READABLE);
	info->abi = module.abi;
	info->size = module.size;
	/* The rest may lie elsewhere in another major. */
	if (data->d_size >= offsetof(struct lqos_module, name) &&
	    module.abi >> 16 != LQOS_ABI_MAJOR)
		return 0;
	if (data->d_size < READABLE)
		return refuse(-ENODATA, why, why_size,
			      "%s: section %s has %zu bytes, a module's has "
			      "at least %zu: rebuild it with LQOS_MODULE()",
			      info->path, LQOS_MODULE_SECTION, data->d_size,
			      READABLE);
	if (!printable(module.name, sizeof(module.name)) ||
	    !printable(module.version, sizeof(module.version)) ||
	    !printable(module.description, sizeof(module.description)) ||
	    !printable(module.needs, sizeof(module.needs)) ||
	    !printable(module.after, sizeof(module.after)))
		return refuse(-ENODATA, why, why_size,
			      "%s: a text in section %s is not terminated or "
			      "not plain ASCII: correct it and rebuild",
			      info->path, LQOS_MODULE_SECTION);
	memcpy(info->name, module.name, sizeof(info->name));
	memcpy(info->version, module.version, sizeof(info->version));
	memcpy(info->description, module.description,
	       sizeof(info->description));
	memcpy(info->needs, module.needs, sizeof(info->needs));
	memcpy(info->after, module.after, sizeof(info->after));
	info->flags = module.flags;
	info->flow_bytes = module.flow_bytes;
	return 0;
}

/* What libelf knows beyond what we see: no memory, or a file cut off. */
static const char *libelf_says(char *out, size_t size)
{
	int error = elf_errno();

	snprintf(out, size, "%s%s", error ? ", libelf: " : "",
		 error ? elf_errmsg(error) : "");
	return out;
}

int core_elf_read(const char *path, struct core_module_info *out, char *why,
		  size_t why_size)
{
	struct core_module_info info = {0};
	autoclose int fd = -1;
	CORE_CLEANUP(elf_end_p) Elf *elf = NULL;
	const Elf_Data *data;
	char says[96];
	struct stat st;
	int rc;

	if (strlen(path) >= sizeof(info.path))
		return refuse(-ENAMETOOLONG, why, why_size,
			      "%s: path is over %zu characters long", path,
			      sizeof(info.path) - 1);
	strcpy(info.path, path);

	/* O_NONBLOCK: a FIFO must not hold us up. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st)) {
		rc = -errno;
		return refuse(rc, why, why_size, "%s: cannot read module: %s",
			      path, strerror(-rc));
	}
	(void)elf_errno(); /* of before */
	if (S_ISREG(st.st_mode) && elf_version(EV_CURRENT) != EV_NONE)
		elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf || !made_for_this_machine(elf))
		return refuse(-ENOEXEC, why, why_size,
			      "%s: not an ELF shared object for this machine%s"
			      ": build it with -shared -fPIC here",
			      path, libelf_says(says, sizeof(says)));
	data = section_data(elf, LQOS_MODULE_SECTION);
	if (!data)
		return refuse(-ENODATA, why, why_size,
			      "%s: not an lqos module (no section %s%s): "
			      "declare it with LQOS_MODULE()",
			      path, LQOS_MODULE_SECTION,
			      libelf_says(says, sizeof(says)));
	rc = take(data, &info, why, why_size);
	if (!rc)
		*out = info;
	return rc;
}
